import json
import os
from pathlib import Path

import pytest

from index.errors import InputError
from service import paths
from service.paths import Source, files_in


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"This is {name}.", encoding="utf-8")


def names(folder: Path) -> list[str]:
    refused: list[str] = []
    found = [str(file.relative_to(folder)) for file in files_in(folder, refused.append)]
    assert refused == []
    return found


def test_files_come_by_name_and_not_what_is_hidden_of_another_kind_or_about_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "a/z.md", "a/y/x.html", "a-b.txt", "README.md", "a/readme.txt", ".git/c.txt", ".d.txt")
    write(tmp_path, "picture.png", "B.TXT", "a.txt")
    (tmp_path / "folder.txt").mkdir()
    assert names(tmp_path) == ["B.TXT", "a/y/x.html", "a/z.md", "a-b.txt", "a.txt", "b.txt"]
    assert names(tmp_path) == [
        str(one.relative_to(tmp_path)) for one in sorted(map(tmp_path.joinpath, names(tmp_path)))
    ]


def test_a_folder_of_more_files_than_are_looked_at_at_once_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {f"{number}.txt" for number in range(20)}
    write(tmp_path, *wanted)
    monkeypatch.setattr(paths, "TOGETHER", 3)
    assert sorted(names(tmp_path)) == sorted(wanted)


def test_a_linked_folder_is_left_alone_and_a_linked_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, "there/a.txt", "here/b.txt")
    (tmp_path / "here" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "here" / "c.txt").symlink_to(tmp_path / "there" / "a.txt")
    assert names(tmp_path / "here") == ["b.txt", "c.txt"]


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "c.txt")
    (tmp_path / "b.txt").write_bytes(b"")
    refused: list[str] = []
    source = Source([tmp_path], "news", refused.append)
    assert [(article.id, article.collection) for article in source.articles()] == [("a", "news"), ("c", "news")]
    assert len(refused) == 1
    assert "b.txt" in refused[0]


def test_a_file_that_is_gone_when_its_turn_comes_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.txt")
    refused: list[str] = []
    articles = Source([tmp_path / "a.txt", tmp_path / "b.txt"], None, refused.append).articles()
    assert next(articles).id == "a"
    (tmp_path / "b.txt").unlink()
    assert list(articles) == []
    assert refused == [f"{tmp_path}/b.txt: cannot be read (No such file or directory)"]


def test_how_much_is_behind_grows_with_each_record_up_to_the_whole_size(tmp_path: Path) -> None:
    lines = [json.dumps({"_id": str(number), "text": "It was Friday. " * number}) + "\n" for number in range(1, 9)]
    (tmp_path / "a.jsonl").write_text("".join(lines), encoding="utf-8")
    write(tmp_path, "b.txt")
    source = Source([tmp_path], None, lambda _: None)
    behind = [source.settle() for _ in source.articles()]
    sizes = [len(line) for line in lines]
    assert behind == [*(sum(sizes[: number + 1]) for number in range(8)), source.size]
    assert source.size == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_records_are_read_one_after_another(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("w", encoding="utf-8") as file:
        for number in range(5000):
            file.write(json.dumps({"_id": str(number), "text": "It was Friday. " * 20}) + "\n")
    source = Source([tmp_path], None, lambda _: None)
    next(source.articles())
    assert source.settle() < source.size / 100


def test_a_pipe_is_read_although_nobody_knows_its_size(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"_id": "a", "text": "It was Friday."}\n')
    os.close(writing)
    source = Source([Path(f"/dev/fd/{reading}")], None, lambda _: None)
    assert source.size == 0
    articles = list(source.articles())
    assert [article.id for article in articles] == ["a"]
    os.close(reading)


def test_no_file_at_all_is_an_error_that_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.jsonl"):
        Source([tmp_path], None, lambda _: None)
