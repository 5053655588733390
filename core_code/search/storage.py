"""Where a study lives while it runs: a database or a journal file that any number of processes share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import StudyDirection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from core_code.core_utils.errors import InputError, shown
from core_code.core_utils.files import drop_cut_line, make_folder
from core_code.search.files import SETTINGS, StudyFiles

SQLITE_PATIENCE_S = 60
WARM_UP_SHARE = 9  # the first ninth of the epochs, 5 of 45, prunes nothing: a small validation set is noisy
SQLITE_BEGINS = b"SQLite format 3\0"
NOT_DECIDING = ("data_root", "augmentations_folder")


def storage_url(storage: str | None, files: StudyFiles) -> str:
    """A URL or the path of a journal file; None is a SQLite file beside the .pkl."""
    path = f"{files.folder}/optuna_study_{files.run}.db"
    # a ? begins a URL's query, and SQLAlchemy's versions differ in whether %20 is a blank: else as SQLite's own URI
    written = (f"sqlite:///{path}", URL.create("sqlite", database=path).render_as_string())
    fallback = f"sqlite:///file:{quote(os.path.abspath(path))}?uri=true"
    return storage or next((each for each in written if make_url(each).database == path), fallback)


def without_password(storage: str) -> str:
    """The storage for people: with *** for the password of its URL, and next to nothing of what is no URL."""
    if "://" not in storage:
        return storage
    try:
        url = make_url(storage)
        query = {key: "***" if is_secret(key) else value for key, value in url.query.items()}
        return url.set(query=query).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return storage.partition("://")[0] + "://..."


def open_storage(storage: str) -> BaseStorage:
    """Connect to a database (any URL of SQLAlchemy's: sqlite, postgresql, mysql) or open a journal file.

    Raises InputError when that fails; a URL's password is in no message.
    """
    with storage_errors(storage, opening=True):
        if "://" not in storage:
            if os.path.exists(storage) and not os.path.isfile(storage):  # a pipe would be waited for
                raise InputError(f"{storage}: no file, expected the path of a journal file")
            make_folder(Path(storage).parent)
            repair_journal(storage)
            return JournalStorage(JournalFileBackend(storage))
        url = make_url(storage)
        options = {}
        if url.get_backend_name() == "sqlite":
            options = {"connect_args": {"timeout": SQLITE_PATIENCE_S}}
            if url.database:
                is_uri = url.database.startswith("file:")
                make_folder(Path(unquote(url.database[5:]) if is_uri else url.database).parent)
        return RDBStorage(storage, engine_kwargs=options)


def open_study(storage: str, files: StudyFiles, direction: StudyDirection, settings: dict[str, Any]) -> optuna.Study:
    """Make the study <net>_<experiment> in the storage, or resume the one that is there.

    Raises InputError when that one was made with other settings (where the data lie does not count), for its
    trials would not compare.
    """
    backend = open_storage(storage)
    with storage_errors(storage, opening=True):
        study = optuna.create_study(
            study_name=files.run, storage=backend, direction=direction, load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=settings["epochs"] // WARM_UP_SHARE + 1),
        )  # fmt: skip
        made, trials = study.user_attrs.get(SETTINGS), study.get_trials(deepcopy=False)  # damaged ones raise here
        if made is None and not trials:
            study.set_user_attr(SETTINGS, settings)
            return study
    if not isinstance(made := made or {}, dict):
        raise InputError(f"{without_password(storage)}: the settings of its study {files.run} are {shown(made)}")
    for key in sorted(made.keys() | settings.keys()):
        if key not in NOT_DECIDING and made.get(key) != settings.get(key):
            raise InputError(
                f"{without_password(storage)}: its study {files.run} was made with {key} {made.get(key)}, expected "
                f"{settings.get(key)}: go on with the same settings, or give another --exp_name"
            )
    if study.direction != direction:
        raise InputError(
            f"{without_password(storage)}: its study {files.run} is to {study.direction.name.lower()} its value, "
            f"expected to {direction.name.lower()} it: give another --exp_name"
        )
    return study


@contextmanager
def storage_errors(storage: str, opening: bool = False) -> Iterator[None]:
    """Within it, what the storage raises becomes an InputError of one line."""
    # while it is opened Exception, for damaged files raise nearly anything
    kinds: tuple[type[Exception], ...] = (Exception,) if opening else (SQLAlchemyError, StorageInternalError)
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        reason = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise InputError(
            f"{without_password(storage)}: this storage does not work ({hide_password(reason, storage)}); expected the "
            f"path of a journal file, or a URL such as sqlite:///study.db or postgresql+psycopg://user@host/database "
            f"(with its driver installed)"
        ) from error


def repair_journal(path: str) -> None:
    """Drop a last line that was cut off, to which the next one would be joined. Raises InputError for a database."""
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        begins = file.read(len(SQLITE_BEGINS))
    if begins == SQLITE_BEGINS:
        raise InputError(f"{path}: a database of SQLite, expected a journal file: give --storage sqlite:///{path}")
    if not begins.startswith(b'{"op_code"'):  # something else, which Optuna refuses, and which nobody wants repaired
        return
    lock = JournalFileSymlinkLock(path)
    lock.acquire()
    try:
        drop_cut_line(Path(path))
    finally:
        lock.release()


def is_secret(key: str) -> bool:
    """Whether a value of a URL's query is for nobody's eyes."""
    return any(word in key.lower() for word in ("pass", "pwd", "secret", "token", "key"))


def hide_password(text: str, storage: str) -> str:
    """The text without the storage's password, which a URL may have in its query too."""
    if "://" not in storage:
        return text
    try:
        url = make_url(storage)
    except (SQLAlchemyError, ValueError):
        return "not a URL"
    hidden = [value for key, value in url.query.items() if is_secret(key)]
    for secret in [
        url.password,
        *(each for value in hidden for each in ([value] if isinstance(value, str) else value)),
    ]:
        text = text.replace(str(secret), "***") if secret else text
    return text
