# SPDX-License-Identifier: Apache-2.0
"""The README shows the kept results, and only those.

Imports hif8.analysis.
"""

from pathlib import Path

import pytest
from hif8.analysis import readme

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_the_tables_of_the_kept_results():
    """If not: python -c 'from pathlib import Path; from hif8.analysis import readme;
    readme.renew(Path("README.md"))'."""
    assert readme.filled(README.read_text()) == README.read_text()


def test_renewing_replaces_what_is_between_the_marks(tmp_path):
    path = tmp_path / "README.md"
    marked = "".join(f"{name}\n<!-- {name} -->\nold\n<!-- /{name} -->\n" for name in readme.TABLES)
    path.write_text(marked)
    readme.renew(path)
    expected = "".join(
        f"{name}\n<!-- {name} -->\n{module.markdown(module.compute())}<!-- /{name} -->\n"
        for name, module in readme.TABLES.items()
    )
    assert path.read_text() == expected
    assert len(readme.TABLES) == 2


def test_missing_marks_are_named_in_a_line():
    with pytest.raises(ValueError, match=r"^the README must have the lines <!-- cost --> and "):
        readme.filled("text")
