"""Archives to take home: equal contents give equal bytes."""

import io
import zipfile
from collections.abc import Mapping


def zip_of(contents: Mapping[str, str | bytes]) -> bytes:
    """A deflated zip of file name -> content."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            # ZipInfo's own date is a fixed one; its method would be to store.
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()
