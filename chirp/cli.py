"""The `chirp` command. What it needs beyond the library comes with extras, and is imported when it runs."""

import sys

# By what is missing, the extras that bring it and the rest of what the same commands need.
NEEDED = {"rich": "cli", "typer": "cli", "redis": "cli,redis", "jinja2": "demo", "uvicorn": "demo"}


def main() -> None:
    """Run the command line; exit code 1 with one line of explanation when something it needs is not installed."""
    try:
        from chirp.commands import commands  # noqa: PLC0415 - the error of a missing module is answered here

        commands(prog_name="chirp")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        extras = "demo" if sys.argv[1:2] == ["demo"] else NEEDED[missing]
        sys.exit(f"chirp: the command needs {missing}, which is not installed: pip install 'chirp-sessions[{extras}]'")
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
