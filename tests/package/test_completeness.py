"""Editors and type checkers know the types of what is public."""

import json
import subprocess
from pathlib import Path


def test_every_public_type_is_known(tmp_path: Path) -> None:
    """Looked up in the installed wheel, from a folder without the tree; modules of extras count as well."""
    command = ("pyright", "--ignoreexternal", "--verifytypes", "chirp", "--outputjson")
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    found = json.loads(done.stdout)["typeCompleteness"]
    assert found["pyTypedPath"]
    exported = (each for each in found["symbols"] if each["isExported"])
    assert [each["name"] for each in exported if each["isTypeAmbiguous"] or not each["isTypeKnown"]] == []
    assert found["completenessScore"] == 1
