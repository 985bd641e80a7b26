"""Full-text search by BM25 inside the database, so that a cold start builds no index.

SQLite has it built in (FTS5). PostgreSQL has none: its own ranks (`ts_rank`, `ts_rank_cd`) know neither how rare a word
is nor how long a text, so BM25 is computed in SQL over the text vectors that its GIN index finds. Both use the same
formula and constants (k1 1.2, b 0.75, https://www.sqlite.org/fts5.html#the_bm25_function), so raw scores are of one
scale. They differ in the stemmer: Porter in SQLite, Porter's second one ("english") in PostgreSQL.

How rare a word is counts within the tenant alone: rarity in the whole table would tell, by the scores of one's own
texts, whether another tenant's speak of something.
"""

import math
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
        "terms tsvector NOT NULL, length integer NOT NULL, tenant varchar(64) NOT NULL)",
        "CREATE INDEX ix_chunk_search_terms ON chunk_search USING gin (terms)",
        "CREATE INDEX ix_chunk_search_tenant_length ON chunk_search (tenant, length)",
    ),
}


class LexicalIndex(Protocol):
    """The full-text side of a database. Everything happens inside the caller's transaction."""

    def add(self, connection: Connection, tenant: str, texts: Sequence[tuple[int, str]]) -> None:
        """Index texts under the numbers of new chunks, which are stored already."""

    def remove(self, connection: Connection, numbers: Sequence[int]) -> None:
        """Forget these chunks; unknown numbers are no error."""

    def search(
        self, connection: Connection, tenant: str, question: str, limit: int, where: Filter | None = None
    ) -> dict[int, float]:
        """BM25 (above 0) by chunk number, best first, of the tenant's chunks that hold any word of `question`.

        `question` is any text: quotes and operators in it mean nothing.
        """

    def frequencies(self, connection: Connection, tenant: str, terms: Iterable[str]) -> dict[str, int]:
        """In how many of the tenant's chunks each term stands, in any inflection; one of several words as a phrase."""


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
    """FTS5. Its row numbers are the chunks' numbers, which say whose they are.

    FTS5 counts a word's rarity over the whole table. So where other tenants have chunks too, each word is asked for by
    itself, and its score is set to the tenant's own rarity. One figure stays of the whole table's: how long its chunks
    are on average, of all tenants together and whatever they say.
    """

    def add(self, connection: Connection, tenant: str, texts: Sequence[tuple[int, str]]) -> None:  # noqa: ARG002
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
        self, connection: Connection, tenant: str, question: str, limit: int, where: Filter | None = None
    ) -> dict[int, float]:
        """See `LexicalIndex`."""
        weights = self._weights(connection, tenant, [f'"{term}"' for term in terms(question)])  # no term holds a quote
        if not weights:
            return {}
        arms = " UNION ALL ".join(_SQLITE_SCORES.format(index=index) for index in range(len(weights)))
        condition, values = _numbers_where("number", tenant, where)
        parameters: dict[str, str | float] = {f"phrase_{index}": phrase for index, phrase in enumerate(weights)}
        parameters |= {f"weight_{index}": weight for index, weight in enumerate(weights.values())}
        statement = text(_SQLITE_BM25.format(arms=arms, condition=condition))
        rows = connection.execute(statement, {**parameters, "limit": limit, **values})
        return {number: score for number, score in rows}  # noqa: C416  # rows are no tuples to a type checker

    def frequencies(self, connection: Connection, tenant: str, terms: Iterable[str]) -> dict[str, int]:
        """See `LexicalIndex`."""
        phrases = {term: " ".join(_TERM.findall(term)) for term in terms}
        counts = self._counts(connection, tenant, [f'"{words}"' for words in phrases.values() if words])
        return {term: counts[f'"{words}"'][1] if words else 0 for term, words in phrases.items()}

    def _weights(self, connection: Connection, tenant: str, phrases: Sequence[str]) -> dict[str, float]:
        """What to ask for, and what to multiply FTS5's score of it by: phrases that a chunk of the tenant holds."""
        total, ours = _sizes(connection, tenant)
        if total == ours:
            return {" OR ".join(phrases): 1.0} if phrases else {}
        return {
            phrase: _rarity(here, ours) / _rarity(everywhere, total)
            for phrase, (everywhere, here) in self._counts(connection, tenant, phrases).items()
            if here
        }

    def _counts(self, connection: Connection, tenant: str, phrases: Sequence[str]) -> dict[str, tuple[int, int]]:
        """In how many chunks each phrase stands: everywhere, and in the tenant's."""
        counts = dict.fromkeys(phrases, (0, 0))
        total, ours = _sizes(connection, tenant)
        one_arm, all_arms = (_SQLITE_COUNT, "{arms}") if total == ours else (_SQLITE_MATCHES, _SQLITE_COUNTS)
        for start in range(0, len(phrases), _MAX_TERMS):
            some = phrases[start : start + _MAX_TERMS]
            arms = " UNION ALL ".join(one_arm.format(index=index) for index in range(len(some)))
            parameters = {f"phrase_{index}": phrase for index, phrase in enumerate(some)}
            statement = text(all_arms.format(arms=arms))
            for index, everywhere, here in connection.execute(statement, {"tenant": tenant, **parameters}):
                counts[some[index]] = everywhere, here
        return counts


class PostgresqlLexical:
    """Text vectors in a table of their own with a GIN index; BM25 in SQL.

    All chunks that hold a word of the question are read, as for PostgreSQL's own ranks: the index knows no scores.
    """

    def add(self, connection: Connection, tenant: str, texts: Sequence[tuple[int, str]]) -> None:
        """See `LexicalIndex`."""
        rows = [{"number": number, "tenant": tenant, "context": _plain(context)} for number, context in texts]
        if rows:
            connection.execute(
                text(
                    "INSERT INTO chunk_search (number, terms, length, tenant) SELECT :number, terms, "
                    "(SELECT coalesce(sum(cardinality(positions)), 0) FROM unnest(terms)), :tenant "
                    "FROM to_tsvector('english', :context) AS terms"
                ),
                rows,
            )

    def remove(self, connection: Connection, numbers: Sequence[int]) -> None:
        """See `LexicalIndex`."""
        connection.execute(text("DELETE FROM chunk_search WHERE number = ANY(:numbers)"), {"numbers": list(numbers)})

    def search(
        self, connection: Connection, tenant: str, question: str, limit: int, where: Filter | None = None
    ) -> dict[int, float]:
        """See `LexicalIndex`."""
        condition, values = _numbers_where("number", tenant, where) if where else ("true", {"tenant": tenant})
        statement = text(_POSTGRESQL_BM25.format(condition=condition))
        rows = connection.execute(
            statement,
            {"question": _plain(" ".join(terms(question))), "max_terms": _MAX_TERMS, "limit": limit, **values},
        )
        return {number: score for number, score in rows}  # noqa: C416  # rows are no tuples to a type checker

    def frequencies(self, connection: Connection, tenant: str, terms: Iterable[str]) -> dict[str, int]:
        """See `LexicalIndex`. Function words are not indexed: 0."""
        statement = text(
            "SELECT count(*) FROM chunk_search WHERE tenant = :tenant AND terms @@ phraseto_tsquery('english', :term)"
        )
        return {
            term: connection.execute(statement, {"tenant": tenant, "term": _plain(term)}).scalar_one() for term in terms
        }


_SQLITE_SIZES = "SELECT count(*), coalesce(sum(tenant = :tenant), 0) FROM chunks"

_SQLITE_COUNT = (
    "SELECT {index}, count(*) AS everywhere, count(*) AS here FROM chunk_search "
    "WHERE chunk_search MATCH :phrase_{index}"
)

_SQLITE_MATCHES = "SELECT {index} AS phrase, rowid AS number FROM chunk_search WHERE chunk_search MATCH :phrase_{index}"

_SQLITE_COUNTS = """
WITH found AS MATERIALIZED ({arms})
SELECT phrase, count(*), sum(number IN (SELECT number FROM chunks WHERE tenant = :tenant)) FROM found GROUP BY phrase
"""

_SQLITE_SCORES = """
SELECT rowid AS number, -bm25(chunk_search) * :weight_{index} AS score FROM chunk_search
WHERE chunk_search MATCH :phrase_{index}
"""

# The sums are made before the condition, which FTS5 would otherwise run its search again for, once for each row.
_SQLITE_BM25 = """
WITH found AS MATERIALIZED ({arms}),
scored AS MATERIALIZED (SELECT number, sum(score) AS score FROM found GROUP BY number)
SELECT number, score FROM scored WHERE {condition} ORDER BY score DESC, number LIMIT :limit
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
    WHERE tenant = :tenant
), found AS MATERIALIZED (
    SELECT number, length, word.lexeme, cardinality(word.positions) AS times
    FROM chunk_search, unnest(terms) AS word
    WHERE tenant = :tenant AND terms @@ (SELECT any_of FROM query) AND word.lexeme IN (SELECT lexeme FROM asked)
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


def _sizes(connection: Connection, tenant: str) -> tuple[int, int]:
    """How many chunks there are, and how many of them are the tenant's."""
    everywhere, ours = connection.execute(text(_SQLITE_SIZES), {"tenant": tenant}).one()
    return everywhere, ours


def _rarity(chunks: int, total: int) -> float:
    """BM25's weight of a word that stands in so many of the chunks. FTS5 sets 1e-6 where that is no more than 0."""
    return max(math.log((total - chunks + 0.5) / (chunks + 0.5)), 1e-6)


def _numbers_where(column: str, tenant: str, where: Filter | None) -> tuple[str, dict[str, str]]:
    """SQL that keeps numbers in `column` of the tenant's chunks whose documents match `where`, and its parameters."""
    conditions, values = ["tenant = :tenant"], {"tenant": tenant}
    for index, (name, value) in enumerate((where or {}).items()):
        values[f"value_{index}"] = value
        if name == DOCUMENT_ID:
            conditions.append(f"document_id = :value_{index}")
            continue
        values[f"name_{index}"] = name
        conditions.append(
            "document_id IN (SELECT document_id FROM document_attributes "  # noqa: S608  # names and values are bound
            f"WHERE tenant = :tenant AND name = :name_{index} AND value = :value_{index})"
        )
    return f"{column} IN (SELECT number FROM chunks WHERE {' AND '.join(conditions)})", values  # noqa: S608
