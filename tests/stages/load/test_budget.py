"""FAULTS rows 7 and 9 to 12: what a file would read or unpack is judged by what it declares."""

from __future__ import annotations

import resource
import stat
import zipfile

import h5py
import pytest
from torchgraft.stages import load
from torchgraft.stages.errors import RefusedError

from .test_model import changed_h5, changed_zip


def rewritten(saved, folder, change):
    """model.keras with ``change(new archive, members)`` in the place of writing its members."""
    with zipfile.ZipFile(saved / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        change(archive, members)
    return folder / "model.keras"


def link(archive, members):
    info = zipfile.ZipInfo("assets/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


HOSTILE = {
    "leads out of it": lambda archive, members: archive.writestr("../out.txt", "x"),
    "leads out": lambda archive, members: archive.writestr("/out.txt", "x"),
    "is a symbolic link": link,
    "is there twice": lambda archive, members: archive.writestr("config.json", members["config.json"]),
}


@pytest.mark.parametrize("message", list(HOSTILE))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_row_12_members_that_lead_astray_are_refused_by_name(saved, tmp_path, message):
    with pytest.raises(RefusedError, match=message):
        load.keras_model(rewritten(saved, tmp_path, HOSTILE[message]))


def test_row_12_a_zip_with_something_in_front_is_refused(saved, tmp_path):
    content = (saved / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04" + b"\0" * 60 + content)
    with pytest.raises(RefusedError, match="in front of its first member"):
        load.keras_model("model.keras", tmp_path)


@pytest.mark.parametrize("member", ["config.json", "assets/words.txt"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_row_10_a_member_that_unpacks_to_far_more_is_refused_unread(saved, tmp_path, member):
    def bomb(archive, members):
        archive.writestr(member, b" " * (200 << 20), zipfile.ZIP_DEFLATED)

    path = rewritten(saved, tmp_path, bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError, match=f"{member}.*(unpacks from|is there twice)"):
        load.keras_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # kB


def test_row_9_an_array_that_the_file_cannot_hold_is_refused_unread(saved, tmp_path):
    def bomb(file):
        name = "model_weights/right/right/kernel"
        del file[name]
        file.create_dataset(name, (1 << 15, 1 << 15), "float32", chunks=(1 << 10, 1 << 10), compression="gzip")

    path = changed_h5(saved, tmp_path, bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError, match=r"right/right/kernel.*more than a file"):
        load.keras_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # kB


@pytest.mark.parametrize("units", [4_000_000_000, 10**18])
def test_row_11_a_layer_larger_than_all_weights_is_refused(saved, tmp_path, units):
    def change(config):
        config["config"]["layers"][1]["config"]["units"] = units

    with pytest.raises(RefusedError, match=f"units is {units}"):
        load.keras_model(changed_zip(saved, tmp_path, change_config=change))


def test_row_7_a_vocabulary_that_is_a_path_is_refused_and_not_read(saved, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("do not tell")

    def change(config):
        options = {"name": "words", "trainable": True, "vocabulary": str(secret)}
        layer = {"module": "keras.layers", "class_name": "StringLookup", "config": options}
        config["config"]["layers"].append(layer)

    with pytest.raises(RefusedError, match=r"'words' \(StringLookup\): its vocabulary is a path") as raised:
        load.keras_model(changed_zip(saved, tmp_path, change_config=change))
    assert "do not tell" not in str(raised.value)


@pytest.mark.parametrize("kind", ["external", "soft", "virtual"])
def test_row_8_arrays_that_lead_out_of_the_file_are_refused(saved, tmp_path, kind):
    def change(file):
        name = "model_weights/right/right/kernel"
        shape = file[name].shape
        del file[name]
        if kind == "external":
            file[name] = h5py.ExternalLink("/etc/passwd", "kernel")
        elif kind == "soft":
            file[name] = h5py.SoftLink("/model_weights/left/left/kernel")
        else:
            layout = h5py.VirtualLayout(shape, "float32")
            layout[:] = h5py.VirtualSource("other.h5", "kernel", shape)
            file.create_virtual_dataset(name, layout)

    with pytest.raises(RefusedError, match=r"lead out of the file|kept in another file"):
        load.keras_model(changed_h5(saved, tmp_path, change))
