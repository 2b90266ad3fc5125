"""`python -m saetui` is `saetui`."""

from __future__ import annotations

from saetui.cli.main import main

if __name__ == "__main__":
    main()
