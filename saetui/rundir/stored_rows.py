"""The rows of a metric log as it is now, one after the other: a log of a million rows never is whole in memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from saetui.formats.regular import NotRegular, open_regular
from saetui.rundir.rows import ROWS_AT_ONCE, Header, no_log, read_header, sound_rows


class StoredRows:
    """The sound rows of a log; of one that does not exist yet none.

    Attributes:
        columns: of the log.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            FormatError: the file is not a metric log.
        """
        self._path = path
        self._header: Header | None = None
        try:
            with open_regular(path) as file:
                self._header = read_header(file, path)
        except FileNotFoundError:
            pass
        except NotRegular as error:
            raise no_log(path, str(error.strerror)) from error
        self.columns = () if self._header is None else self._header.columns

    def __iter__(self) -> Iterator[tuple[int, str, dict[str, float]]]:
        """Each row as step, site and values, in the order of the file."""
        header = self._header
        if header is None:
            return
        layout = struct.Struct(f"<4xIQQ{len(header.columns)}d")
        bits = [(1 << bit, name) for bit, name in enumerate(header.columns)]
        everything = (1 << len(bits)) - 1
        with open_regular(self._path) as file:
            read_header(file, self._path)
            while data := file.read(ROWS_AT_ONCE * header.width):
                for number, good in enumerate(sound_rows(data, header)):
                    if not good:
                        continue
                    site, step, present, *values = layout.unpack_from(data, number * header.width)
                    if present == everything:
                        yield step, header.sites[site], dict(zip(header.columns, values))
                    else:
                        figures = {name: value for (bit, name), value in zip(bits, values) if present & bit}
                        yield step, header.sites[site], figures
