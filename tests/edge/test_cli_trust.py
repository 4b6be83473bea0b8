"""`explain` and `sign`: what they write, and what they refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hcr_runtime import Classifier, ModelError, shipped_models

PKCS8 = (Encoding.PEM, PrivateFormat.PKCS8)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(*PKCS8, NoEncryption()))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(shipped_models()["arabic-letters-nano"], tmp_path / "nano.onnx"))


def test_signed_model_is_loaded_with_its_key_alone(cli, key: Path, model: Path) -> None:
    answer = cli("sign", model, "--key", key, "--json")
    assert answer.code == 0, answer.err
    data = json.loads(answer.out)
    assert data == {"file": str(model), "signature": f"{model}.sig"}
    assert len(Path(data["signature"]).read_bytes()) == 64
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    public = load_pem_private_key(key.read_bytes(), None).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert Classifier.load(model, public_key=pem).spec.name == "arabic-letters-nano"
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(ModelError):
        Classifier.load(
            model,
            public_key=other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        )
    # A signature is not replaced unless told to.
    assert cli("sign", model, "--key", key).code == 2
    assert cli("sign", model, "--key", key, "--overwrite").code == 0


def test_keys_that_cannot_sign(cli, tmp_path: Path, key: Path, model: Path) -> None:
    (tmp_path / "text.pem").write_text("no key", encoding="utf-8")
    (tmp_path / "x.pem").write_bytes(
        X25519PrivateKey.generate().private_bytes(*PKCS8, NoEncryption())
    )
    (tmp_path / "locked.pem").write_bytes(
        Ed25519PrivateKey.generate().private_bytes(*PKCS8, BestAvailableEncryption(b"word"))
    )
    for name, says in (
        ("text.pem", "text.pem is no private key"),
        ("x.pem", "x.pem is another kind of key; allowed: Ed25519"),
        ("locked.pem", "without a password"),
        ("absent.pem", "absent.pem: No such file"),
    ):
        answer = cli("sign", model, "--key", tmp_path / name)
        assert answer.code == 2
        assert says in " ".join(answer.err.split())
        assert "Traceback" not in answer.err
    assert cli("sign", tmp_path / "absent.onnx", "--key", key).code == 2
    assert not (tmp_path / "nano.onnx.sig").exists()


def test_explain_draws_every_step(cli, tmp_path: Path, samples_dir: Path) -> None:
    photo, out = samples_dir / "photos" / "beh-blue-pen.jpg", tmp_path / "why.png"
    answer = cli("explain", photo, "--out", out, "--json")
    assert answer.code == 0, answer.err
    data = json.loads(answer.out)
    assert (data["name"], data["picture"]) == ("beh", str(out))
    picture = cv2.imread(str(out))
    assert picture.shape == (296, 1524, 3)
    # The photograph is in colour, what follows is not, and the answer's bar is green.
    panels = [picture[44:284, 12 + 252 * i : 252 * (i + 1)] for i in range(6)]
    colourful = [bool((panel.max(axis=2) - panel.min(axis=2) > 60).any()) for panel in panels]
    assert colourful == [True, False, False, True, False, True]
    assert cli("explain", photo, "--out", out).code == 2
    assert cli("explain", photo, "--out", tmp_path / "why.txt").code == 2
    assert cli("explain", tmp_path / "absent.png", "--out", tmp_path / "b.png").code == 2
    assert not (tmp_path / "b.png").exists()
