"""The `chirp` command. What it needs beyond the library comes with the `demo` extra, and is imported when it runs."""

import sys

NEEDED = ("jinja2", "redis", "rich", "typer", "uvicorn")


def main() -> None:
    """Run the command line; exit code 1 with one line of explanation when something it needs is not installed."""
    try:
        from chirp.demo.command import commands  # noqa: PLC0415 - the error of a missing module is answered here
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        sys.exit(f"chirp: the command needs {missing}, which is not installed: pip install 'chirp-sessions[demo]'")
    except KeyboardInterrupt:
        return
    commands(prog_name="chirp")


if __name__ == "__main__":
    main()
