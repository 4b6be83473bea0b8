"""`hcr-edge sign`: an Ed25519 signature beside a model file, made without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hcr_edge.cli.console import answer, say
from hcr_edge.cli.extras import MissingExtraError
from hcr_edge.cli.options import Json, Overwrite
from hcr_edge.cli.outputs import check_new
from hcr_edge.errors import DataError
from hcr_edge.whole_file import write_whole
from hcr_runtime.carrier import read_model
from hcr_runtime.integrity import SIGNATURE_SUFFIX


def sign(
    model: Annotated[Path, typer.Argument(help="A model file.")],
    key: Annotated[
        Path, typer.Option(help="A private Ed25519 key, PEM: openssl genpkey -algorithm ed25519.")
    ],
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Sign a model file: FILE.sig, which Classifier.load(FILE, public_key=...) verifies.

    Example: [bold]hcr-edge sign build/arabic-letters/arabic-letters-int8.onnx --key key.pem[/]
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "'hcr-edge sign' needs cryptography", hint="pip install 'hcr-edge[signature]'"
        ) from error
    data = read_model(model)
    place = model.with_name(model.name + SIGNATURE_SUFFIX)
    check_new(place, overwrite)
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:  # no PEM; under a password
        raise DataError(
            f"{key} is no private key that can be used ({error})",
            allowed="a PEM file of Ed25519 without a password",
            hint="openssl genpkey -algorithm ed25519 -out key.pem",
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise DataError(f"{key} is another kind of key", allowed="Ed25519")
    write_whole(place, private.sign(data))
    if as_json:
        answer({"file": str(model), "signature": str(place)})
    else:
        say(f"wrote {place}")


COMMANDS = (sign,)
