"""Static files under names that hold their hash, compressed once."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ManifestStorage(CompressedManifestStaticFilesStorage):
    """Hashed and compressed files; a name that is missing from the manifest is served as it is.

    Third-party scripts refer to source maps that their packages do not ship, which must not stop the collection.
    """

    manifest_strict = False
    support_js_module_import_aggregation = False
