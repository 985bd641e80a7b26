"""Full-text search by BM25 inside the database, so that a cold start builds no index.

SQLite has it built in (FTS5). PostgreSQL has none: its own ranks (`ts_rank`, `ts_rank_cd`) know neither how rare a word
is nor how long a text, so BM25 is computed in SQL over the text vectors that its GIN index finds. Both use the same
formula and constants (k1 1.2, b 0.75, https://www.sqlite.org/fts5.html#the_bm25_function), so raw scores are of one
scale. They differ in the stemmer: Porter in SQLite, Porter's second one ("english") in PostgreSQL.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from sqlalchemy import Connection, text

Filter: TypeAlias = Mapping[str, str]
"""Keeps documents whose attributes all have these values; the name `document_id` is the document itself."""

DOCUMENT_ID = "document_id"

_MAX_TERMS = 64  # of one question; a longer text has said what it is about by then
_TERM = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+")  # 500,000 and 1002.14 stay whole
# The function words of English (PostgreSQL's english.stop, dropped there by the "english" configuration), and those
# that questions are made of: without them the right section came among the first 3 for 66 % of a set, with them 45 %.
_STOP_WORDS = frozenset(
    """i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves what which who whom this that these those am is are was were be
    been being have has had having do does did doing a an the and but if or because as until while of at by for with
    about against between into through during before after above below to from up down in out on off over under again
    further then once here there when where why how all any both each few more most other some such no nor not only
    own same so than too very s t can will just don should now may must could would shall get got us also
    ever yet""".split()
)

_CREATE = {
    "sqlite": ("CREATE VIRTUAL TABLE chunk_search USING fts5(context, tokenize = 'porter unicode61')",),
    "postgresql": (
        "CREATE TABLE chunk_search (number bigint PRIMARY KEY REFERENCES chunks (number) ON DELETE CASCADE, "
        "terms tsvector NOT NULL, length integer NOT NULL)",
        "CREATE INDEX ix_chunk_search_terms ON chunk_search USING gin (terms)",
        "CREATE INDEX ix_chunk_search_length ON chunk_search (length)",
    ),
}


class LexicalIndex(Protocol):
    """The full-text side of a database. Everything happens inside the caller's transaction."""

    def add(self, connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
        """Index texts under new chunk numbers."""

    def remove(self, connection: Connection, numbers: Sequence[int]) -> None:
        """Forget these chunks; unknown numbers are no error."""

    def search(
        self, connection: Connection, question: str, limit: int, where: Filter | None = None
    ) -> dict[int, float]:
        """BM25 (above 0) by chunk number, best first, of chunks that hold any word of `question`.

        `question` is any text: quotes and operators in it mean nothing.
        """

    def frequencies(self, connection: Connection, terms: Iterable[str]) -> dict[str, int]:
        """In how many chunks each term stands, in any inflection; a term of several words stands as a phrase."""


def create_statements(dialect: str) -> tuple[str, ...]:
    """DDL of the full-text index for `sqlite` or `postgresql`; the migration holds the same."""
    return _CREATE[dialect]


def lexical_index(dialect: str) -> LexicalIndex:
    """The full-text index of an engine with this dialect's name."""
    return PostgresqlLexical() if dialect == "postgresql" else SqliteLexical()


def terms(question: str) -> list[str]:
    """Words and figures of `question` in lower case, each once, without function words unless there is nothing else."""
    found = list(dict.fromkeys(_TERM.findall(question.lower())))
    return ([term for term in found if term not in _STOP_WORDS] or found)[:_MAX_TERMS]


class SqliteLexical:
    """FTS5. Its row numbers are the chunks' numbers."""

    def add(self, connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
        """See `LexicalIndex`."""
        rows = [{"number": number, "context": context} for number, context in texts]
        if rows:
            connection.execute(text("INSERT INTO chunk_search (rowid, context) VALUES (:number, :context)"), rows)

    def remove(self, connection: Connection, numbers: Sequence[int]) -> None:
        """See `LexicalIndex`."""
        if numbers:
            rows = [{"number": number} for number in numbers]
            connection.execute(text("DELETE FROM chunk_search WHERE rowid = :number"), rows)

    def search(
        self, connection: Connection, question: str, limit: int, where: Filter | None = None
    ) -> dict[int, float]:
        """See `LexicalIndex`."""
        found = terms(question)
        if not found:
            return {}
        # The plus keeps FTS5 from running the whole search once for each row that the filter lets through.
        condition, values = _numbers_where("+rowid", where)
        statement = text(_SQLITE_BM25.format(condition=condition))
        query = " OR ".join(f'"{term}"' for term in found)  # no term holds a quote
        rows = connection.execute(statement, {"query": query, "limit": limit, **values})
        return {number: score for number, score in rows}  # noqa: C416  # rows are no tuples to a type checker

    def frequencies(self, connection: Connection, terms: Iterable[str]) -> dict[str, int]:
        """See `LexicalIndex`."""
        statement = text("SELECT count(*) FROM chunk_search WHERE chunk_search MATCH :query")
        counts = {}
        for term in terms:
            words = " ".join(_TERM.findall(term))
            counts[term] = connection.execute(statement, {"query": f'"{words}"'}).scalar_one() if words else 0
        return counts


class PostgresqlLexical:
    """Text vectors in a table of their own with a GIN index; BM25 in SQL.

    All chunks that hold a word of the question are read, as for PostgreSQL's own ranks: the index knows no scores.
    """

    def add(self, connection: Connection, texts: Sequence[tuple[int, str]]) -> None:
        """See `LexicalIndex`."""
        rows = [{"number": number, "context": _plain(context)} for number, context in texts]
        if rows:
            connection.execute(
                text(
                    "INSERT INTO chunk_search (number, terms, length) SELECT :number, terms, "
                    "(SELECT coalesce(sum(cardinality(positions)), 0) FROM unnest(terms)) "
                    "FROM to_tsvector('english', :context) AS terms"
                ),
                rows,
            )

    def remove(self, connection: Connection, numbers: Sequence[int]) -> None:
        """See `LexicalIndex`."""
        connection.execute(text("DELETE FROM chunk_search WHERE number = ANY(:numbers)"), {"numbers": list(numbers)})

    def search(
        self, connection: Connection, question: str, limit: int, where: Filter | None = None
    ) -> dict[int, float]:
        """See `LexicalIndex`."""
        condition, values = _numbers_where("number", where)
        statement = text(_POSTGRESQL_BM25.format(condition=condition))
        rows = connection.execute(
            statement,
            {"question": _plain(" ".join(terms(question))), "max_terms": _MAX_TERMS, "limit": limit, **values},
        )
        return {number: score for number, score in rows}  # noqa: C416  # rows are no tuples to a type checker

    def frequencies(self, connection: Connection, terms: Iterable[str]) -> dict[str, int]:
        """See `LexicalIndex`. Function words are not indexed: 0."""
        statement = text("SELECT count(*) FROM chunk_search WHERE terms @@ phraseto_tsquery('english', :term)")
        return {term: connection.execute(statement, {"term": _plain(term)}).scalar_one() for term in terms}


_SQLITE_BM25 = """
SELECT rowid, -bm25(chunk_search) FROM chunk_search
WHERE chunk_search MATCH :query AND {condition} ORDER BY rank LIMIT :limit
"""

# `asked`: the question's stems. `found`: how often each stands in each chunk that has any, which gives in how many
# chunks it stands as well. A stem in more than half of the chunks would get a negative weight: FTS5 sets 1e-6.
_POSTGRESQL_BM25 = """
WITH asked AS MATERIALIZED (
    SELECT lexeme FROM unnest(tsvector_to_array(to_tsvector('english', :question))) AS lexeme LIMIT :max_terms
), query AS MATERIALIZED (
    SELECT string_agg(quote_literal(lexeme), ' | ')\\:\\:tsquery AS any_of FROM asked  -- no stem holds a backslash
), totals AS MATERIALIZED (
    SELECT count(*)\\:\\:float8 AS chunks, avg(length)\\:\\:float8 AS average FROM chunk_search
), found AS MATERIALIZED (
    SELECT number, length, word.lexeme, cardinality(word.positions) AS times
    FROM chunk_search, unnest(terms) AS word
    WHERE terms @@ (SELECT any_of FROM query) AND word.lexeme IN (SELECT lexeme FROM asked)
), weights AS MATERIALIZED (
    SELECT lexeme, greatest(ln((chunks - count(*) + 0.5) / (count(*) + 0.5)), 1e-6) AS weight
    FROM found, totals GROUP BY lexeme, chunks
)
SELECT number, sum(weight * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / average)))\\:\\:float8 AS score
FROM found JOIN weights USING (lexeme) CROSS JOIN totals
WHERE {condition} GROUP BY number ORDER BY score DESC, number LIMIT :limit
"""


def _plain(context: str) -> str:
    """Our words alone: PostgreSQL takes "and/or" for a file, "U.S.C" for a host, and 500,000 for two numbers."""
    return " ".join(term.replace(",", "") for term in _TERM.findall(context.lower()))


def _numbers_where(column: str, where: Filter | None) -> tuple[str, dict[str, str]]:
    """SQL that keeps chunk numbers in `column` whose documents match `where`, and its parameters."""
    conditions, values = [], {}
    for index, (name, value) in enumerate((where or {}).items()):
        values[f"value_{index}"] = value
        if name == DOCUMENT_ID:
            conditions.append(f"document_id = :value_{index}")
            continue
        values[f"name_{index}"] = name
        conditions.append(
            "document_id IN (SELECT document_id FROM document_attributes "  # noqa: S608  # names and values are bound
            f"WHERE name = :name_{index} AND value = :value_{index})"
        )
    if not conditions:
        return "1 = 1", {}
    return f"{column} IN (SELECT number FROM chunks WHERE {' AND '.join(conditions)})", values  # noqa: S608
