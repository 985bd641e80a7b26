"""Values for the texts of `tests.performance.pii`, by name, drawn from a seeded `Random`.

`draw("PHONE.us", random)` gives one value. A name in capitals is labelled in the text that it stands in; all others
are what stands around them, or what only looks like personal data or a secret. No real value is among them: digits
and letters are random, words come from the lists below.
"""

import string
from random import Random

from tests.performance import pii_credentials as credentials
from tests.performance import pii_numbers as numbers
from tests.performance.pii_numbers import Draw, shaped

FIRST_NAMES = """James Maria Wei Fatima Olga Lukas Aiko José Priya Liam Chloé Björn Ewa Nuno Zeynep Hannah Kwame Ingrid
Søren Giulia""".split()

LAST_NAMES = """Smith García Müller Nguyen Okafor Rossi Novák Andersson O'Brien Dubois Silva Tanaka Kowalska Jansen
Haddad Larsen Cohen Patel Yılmaz Brown""".split()

CITIES = """Boston Leeds München Lyon Madrid Torino Utrecht Zürich Oslo Perth Osaka Porto Kraków Tampa Denver Graz Gent
Cork Lund Izmir""".split()

STREETS = [
    *("Main Street", "Elm Ave", "Hauptstraße", "rue de la Paix", "Calle Mayor", "Via Roma", "Keizersgracht"),
    *("Bahnhofstrasse", "Oak Lane Apt. 4", "High Road", "Storgata", "Av. Paulista"),
]

COMPANIES = ["Acme Corp", "Nordwind GmbH", "Blue Ridge Lending", "Sato & Sons", "Globex", "Initech LLC", "Umbrella plc"]

DOMAINS = """gmail.com yahoo.co.uk hotmail.com example.com mail.example.org web.de orange.fr libero.it telia.se
company-name.co.jp uni-muenchen.de jourrapide.com proton.me armyspy.com tuta.io smith.info rossi-group.net""".split()


def email(random: Random) -> str:
    first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES).replace("'", "")
    local = random.choice(
        [
            f"{first}.{last}",
            f"{first[0]}{last}",
            f"{first}_{last}{random.randint(1, 99)}",
            f"{first}+loans",
            f"{last}-{first}",
            f"{first}{random.randint(1950, 2009)}",
        ]
    )
    plain = local if random.random() < 0.05 else local.encode("ascii", "ignore").decode()
    name = plain if random.random() < 0.3 else plain.lower()
    return f"{name}@{'bücher.example' if random.random() < 0.02 else random.choice(DOMAINS)}"


def date(random: Random) -> str:
    year, month, day = random.randint(2004, 2027), random.randint(1, 12), random.randint(1, 28)
    return random.choice([f"{year}-{month:02}-{day:02}", f"{month:02}/{day:02}/{year}", f"{day}.{month}.{year}"])


def clock(random: Random) -> str:
    return f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}"


def one_of(values: list[str]) -> Draw:
    return lambda random: random.choice(values)


def any_of(*draws: Draw) -> Draw:
    return lambda random: random.choice(draws)(random)


def whole(low: int, high: int) -> Draw:
    return lambda random: str(random.randint(low, high))


DRAWS: dict[str, Draw] = {
    "EMAIL": email,
    "PHONE.us": numbers.phone(numbers.US_PHONES),
    "PHONE.world": numbers.phone(numbers.WORLD_PHONES),
    "PHONE.local": numbers.phone(numbers.LOCAL_PHONES),
    "PHONE.any": numbers.phone("|".join((numbers.US_PHONES, numbers.WORLD_PHONES, numbers.LOCAL_PHONES))),
    "PHONE.odd": numbers.odd_phone,
    "PHONE.bare": shaped("NZZNZZ####"),
    "SSN": numbers.grouped_ssn("-"),
    "SSN.spaced": numbers.grouped_ssn(" "),
    "SSN.dotted": numbers.grouped_ssn("."),
    "SSN.bare": numbers.ssn,
    "CREDIT_CARD": any_of(numbers.card, numbers.grouped_card),
    "CREDIT_CARD.bare": numbers.card,
    "IP": any_of(numbers.ip4, numbers.ip4, numbers.ip6),
    "IP.4": numbers.ip4,
    "IP.6": numbers.ip6,
    "IBAN": any_of(numbers.iban, numbers.iban, numbers.grouped_iban),
    "IBAN.bare": numbers.iban,
    "US_BANK.routing": numbers.routing,
    "US_BANK.account": lambda random: str(random.randint(10**7, 10**12 - 1)),
    "SECRET.word": credentials.word_password,
    "SECRET.strong": credentials.strong_password,
    "SECRET.password": any_of(credentials.word_password, credentials.strong_password),
    "SECRET.plain": lambda random: numbers.chars(random, string.ascii_lowercase, random.randint(6, 10)),
    "SECRET.hex": lambda random: numbers.lower_hex(random, random.choice([32, 40, 64])),
    "SECRET.alnum": lambda random: credentials.alphanumeric(random, random.choice([20, 24, 32, 40])),
    "SECRET.base64": lambda random: credentials.base64_of(random, random.choice([24, 32, 48])),
    "SECRET.token": credentials.token,
    "SECRET.uuid": numbers.uuid,
    "SECRET.vendor": credentials.prefixed(*credentials.VENDOR_SHAPES),
    "SECRET.aws": lambda random: numbers.chars(random, string.ascii_letters + string.digits + "/+", 40),
    "SECRET.jwt": credentials.jwt,
    "SECRET.pem": credentials.pem,
    "SECRET.telegram": credentials.telegram,
    "SECRET.slack": credentials.slack_webhook,
    "SECRET.urlencoded": credentials.urlencoded,
    "SECRET.basic": credentials.basic,
    "first": one_of(FIRST_NAMES),
    "last": one_of(LAST_NAMES),
    "city": one_of(CITIES),
    "street": lambda random: f"{random.randint(1, 999)} {random.choice(STREETS)}",
    "zip": shaped("#####", "#####-####", "##### ####"),
    "company": one_of(COMPANIES),
    "word": one_of(credentials.WORDS),
    "date": date,
    "time": clock,
    "money": lambda random: f"${random.randint(1, 999)},{random.randint(0, 999):03}.{random.randint(0, 99):02}",
    "order": shaped("ORD-########", "#########", "PO-2024-#####", "112-#######-#######", "#NNNNNNN"),
    "loan": shaped("LN-20########", "LOAN########", "HL#########"),
    "isbn": shaped("978-#-##-######-#"),
    "tracking": shaped("1Z999AA1##########", "9400 1### #### #### ####"),
    "vin": shaped("1HGCM826##A######"),
    "imei": shaped("49-######-######-#", "35######-######-#"),
    "eth": lambda random: f"0x{numbers.lower_hex(random, 40)}",
    "btc": lambda random: f"1{credentials.alphanumeric(random, 33)}",
    "passport": shaped("A########", "########A", "C#XX###XX"),
    "license": shaped("A###-####-####", "AAAAA######A#9AA", "AA-##-##-####", "S#######"),
    "username": lambda random: f"{random.choice(FIRST_NAMES).lower()}{random.choice('._-')}{random.randint(1, 9999)}",
    "postcode": shaped("AA# #AA", "#### AA", "##-###", "A#A #A#", "##### ", "###-####"),
    "vat": shaped("DE#########", "GB ### #### ##", "ATU########"),
    "masked": shaped("************####", "xxxx-xxxx-xxxx-####", "•••• ####", "####-****-****-####"),
    "useragent": shaped("Mozilla/5.0 (X11; Linux x86_64; rv:1#.#) Gecko/2010010# Firefox/1##.0.#"),
    "geo": shaped("[##.####,-##.####]", "-##.##, ##.##", "##°##'##\" N"),
    "imdate": shaped("19##-0#-1#T00:00:00", "1#/0#/19##", "0#.1#.20##", "May 1#th, 19##"),
    "notcard": numbers.not_a_card,
    "notssn": shaped("000-##-####", "666-##-####", "###-00-####"),
    "n1": whole(1, 9),
    "n2": whole(10, 99),
    "n3": whole(100, 999),
    "n4": whole(1000, 9999),
    "n5": whole(10000, 99999),
    "n6": whole(100000, 999999),
    "n8": whole(10**7, 10**8 - 1),
    "n9": whole(10**8, 10**9 - 1),
    "n10": whole(10**9, 10**10 - 1),
    "n12": whole(10**11, 10**12 - 1),
    "n13": whole(1_600_000_000_000, 1_790_000_000_000),
    "n16": whole(10**15, 10**16 - 1),
    "n18": whole(10**17, 10**18 - 1),
    "n19": whole(10**18, 9 * 10**18),
    "epoch": whole(1_100_000_000, 1_790_000_000),
    "block": lambda random: str(random.choice([-1, 1]) * random.randint(10**17, 9 * 10**18)),
    "hex4": lambda random: numbers.lower_hex(random, 4),
    "hex8": lambda random: numbers.lower_hex(random, 8),
    "hex12": lambda random: numbers.lower_hex(random, 12),
    "hex16": lambda random: numbers.lower_hex(random, 16),
    "hex32": lambda random: numbers.lower_hex(random, 32),
    "hex40": lambda random: numbers.lower_hex(random, 40),
    "hex64": lambda random: numbers.lower_hex(random, 64),
    "hexcaps": lambda random: numbers.lower_hex(random, 16).upper(),
    "uuid": numbers.uuid,
    "mac": numbers.mac,
    "ip": numbers.ip4,
    "ip6": numbers.ip6,
    "version": shaped("N.##.N", "10.0.#####.####", "v1.N.#", "N.#.#-rc.N", "6.1.7601.#####", "##.#.####.##"),
    "base64": lambda random: credentials.base64_of(random, 32),
    "sha512": lambda random: credentials.base64_of(random, 64),
    "id20": lambda random: credentials.alphanumeric(random, 20),
    "id24": lambda random: numbers.lower_hex(random, 24),
    "publickey": credentials.public_key,
}


def draw(name: str, random: Random) -> str:
    """One value of `name` (`KIND`, `KIND.variant` or a filler).

    Raises:
        KeyError: there is no such name.
    """
    return DRAWS[name](random)
