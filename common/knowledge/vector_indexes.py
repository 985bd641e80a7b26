"""Which vector index an instance has, by its settings."""

from common.database.engine import engine
from common.health_database import sqlite_file
from common.knowledge.vectors import VectorIndex
from common.llm.models import embedder
from common.once import once
from common.settings import settings


@once
def vector_index() -> VectorIndex:
    """This instance's vectors: on the server that CHROMA_URL names, else where the database is.

    Beside a database file they are in Chroma, in DATA_DIR/chroma. A database server may have many instances, whose
    folders are not the same, so each has them in memory.
    """
    here = settings()
    if here.chroma_url is None and sqlite_file(here.database_location()) is None:
        from common.knowledge.database_vectors import DatabaseVectors

        return DatabaseVectors(engine(), embedder())
    from common.knowledge.chroma import ChromaIndex

    if here.chroma_url is None:
        return ChromaIndex.on_disk(here.data_dir / "chroma", embedder())
    token = here.chroma_token.get_secret_value() if here.chroma_token else None
    return ChromaIndex.on_server(here.chroma_url, embedder(), token)
