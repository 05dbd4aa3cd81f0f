"""Word lists by country: given names, family names, streets, towns, and formats of addresses.

Data alone. The names are common ones, combined at random by `people.py`; none refers to a real person.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Locale:
    """Names, addresses and formats of one country."""

    country: str
    language: str
    given: tuple[str, ...]
    family: tuple[str, ...]
    streets: tuple[str, ...]
    towns: tuple[tuple[str, str], ...]
    """(town, postcode); "#" in a postcode stands for a digit, "@" for a letter."""
    street_line: str
    address: tuple[str, ...]
    """Formats of the whole address on one line."""
    born: tuple[str, ...]
    """Formats of a date of birth in the style of strftime: %Y %m %d %e (without zero) %B (name of the month)."""
    months: str
    family_first: bool = False


def _list(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(","))


def _towns(words: str) -> tuple[tuple[str, str], ...]:
    pairs = (word.strip().split("|") for word in words.split(","))
    return tuple((town, postcode) for town, postcode in pairs)


_ENGLISH = "January February March April May June July August September October November December"

US = Locale(
    "US",
    "en",
    _list(
        "James, Mary, Robert, Patricia, Michael, Linda, David, Barbara, Susan, Joseph, Karen, Daniel, Nancy, "
        "Anthony, Sandra, Kevin, Ashley, Brian, Kimberly, Carlos, Latoya, Jamal, Emily, Tyler, Grace, Mei, Hope, "
        "Dakota, Brooklyn, Marcus, Destiny, Wyatt"
    ),
    _list(
        "Smith, Johnson, Williams, Brown, Garcia, Miller, Davis, Rodriguez, Martinez, Wilson, Anderson, Taylor, "
        "Moore, Jackson, Lee, Thompson, White, Harris, Clark, Lewis, Robinson, Walker, Young, King, Nguyen, Hill, "
        "Washington, O'Brien, Baker, Price, Cook-Hayes, Stone"
    ),
    _list("Maple Street, Oak Avenue, 5th Avenue, Lincoln Road, Cedar Lane, Elm Drive, Sunset Blvd, Mill Creek Way"),
    _towns(
        "Boston|021##, Chicago|606##, Austin|787##, Seattle|981##, Denver|802##, Portland|972##, Newark|071##, "
        "Atlanta|303##, Springfield|011##, Phoenix|850##"
    ),
    "{number} {street}",
    (
        "{line}, {town} {postcode}",
        "{line}, {town}, {postcode}",
        "{line} {town} {postcode}",
        "{line}, {town} {postcode}, USA",
    ),
    ("%m/%d/%Y", "%B %e, %Y", "%Y-%m-%d", "%m-%d-%Y", "%e %B %Y"),
    _ENGLISH,
)
GB = Locale(
    "GB",
    "en",
    _list(
        "Oliver, Amelia, Harry, Isla, George, Ava, Jack, Poppy, Charlie, Freya, Alfie, Florence, Callum, Imogen, "
        "Rhys, Siân, Hamish, Eilidh, Aisha, Mohammed, Priya, Nigel, Deborah, Trevor, Gemma, Rowan, Ruby, Graham"
    ),
    _list(
        "Jones, Taylor, Davies, Evans, Thomas, Roberts, Wright, Hughes, Edwards, Green, Hall, Wood, Patel, Khan, "
        "Clarke, Begum, MacDonald, McKenzie, Fletcher, Ashworth, Barker, Holloway, Pritchard, Okafor, Whitfield, "
        "Fox-Bailey, Sutcliffe, Rose"
    ),
    _list("High Street, Station Road, Church Lane, Victoria Road, Mill Lane, Kings Avenue, The Crescent, Park View"),
    _towns(
        "London|SW1@ #@@, Leeds|LS# #@@, Manchester|M1# #@@, Bristol|BS# #@@, Glasgow|G1# #@@, Cardiff|CF1# #@@, "
        "York|YO1# #@@, Norwich|NR# #@@"
    ),
    "{number} {street}",
    (
        "{line}, {town} {postcode}",
        "{line}, {town}, {postcode}",
        "Flat 2, {line}, {town} {postcode}",
        "{line} {town} {postcode}",
    ),
    ("%d/%m/%Y", "%e %B %Y", "%d-%m-%Y", "%d.%m.%Y", "%Y-%m-%d"),
    _ENGLISH,
)
DE = Locale(
    "DE",
    "de",
    _list(
        "Lukas, Anna, Finn, Lea, Jürgen, Sabine, Wolfgang, Ursula, Käthe, Jörg, Heike, Matthias, Claudia, Thomas, "
        "Birgit, Mehmet, Ayşe, Stefan, Monika, Uwe, Greta, Emil, Hannelore, Sören, Anneliese, Tobias"
    ),
    _list(
        "Müller, Schmidt, Schneider, Fischer, Weber, Meyer, Wagner, Becker, Schulz, Hoffmann, Schäfer, Koch, Bauer, "
        "Richter, Klein, Wolf, Schröder, Neumann, Schwarz, Zimmermann, Krüger, Yılmaz, Großmann, von der Heide, "
        "Lehmann-Voigt, Kaiser"
    ),
    _list("Hauptstraße, Bahnhofstr., Gartenweg, Lindenallee, Schulstraße, Am Markt, Goethestraße, Bergstr."),
    _towns(
        "Berlin|10###, Dresden|010##, Leipzig|041##, Hamburg|20###, München|80###, Köln|50###, Chemnitz|091##, "
        "Stuttgart|70###, Rostock|180##"
    ),
    "{street} {number}",
    ("{line}, {postcode} {town}", "{line} in {postcode} {town}", "{line}, D-{postcode} {town}"),
    ("%d.%m.%Y", "%e.%m.%Y", "%e. %B %Y", "%Y-%m-%d"),
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
)
FR = Locale(
    "FR",
    "fr",
    _list(
        "Camille, Louis, Chloé, Hugo, Léa, Gabriel, Manon, Jules, Inès, Thierry, Françoise, Jean-Pierre, Hélène, "
        "Benoît, Océane, Karim, Fatima, Mathilde, Aurélie, Étienne, Noëlle, Pascal, Odile, Zoé"
    ),
    _list(
        "Martin, Bernard, Dubois, Durand, Moreau, Laurent, Lefèvre, Leroy, Roux, Fournier, Girard, Mercier, Blanc, "
        "Guérin, Boyer, Garnier, Chevalier, Benali, Lemaître, Le Gall, de la Tour, D'Angelo, Petit, Rivière"
    ),
    _list("rue de la Paix, avenue Victor Hugo, rue des Lilas, boulevard Voltaire, place du Marché, chemin Vert"),
    _towns("Paris|750##, Lyon|690##, Nice|06#00, Bourg-en-Bresse|01000, Nantes|44#00, Lille|59#00, Toulouse|31#00"),
    "{number} {street}",
    ("{line}, {postcode} {town}", "{line} {postcode} {town}", "{line} à {town} ({postcode})"),
    ("%d/%m/%Y", "%e %B %Y", "%d.%m.%Y", "%d-%m-%Y"),
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
)
ES = Locale(
    "ES",
    "es",
    _list(
        "Lucía, Hugo, María, Mateo, Sofía, Javier, Carmen, Ángel, Begoña, Íñigo, Pilar, José Luis, Nuria, Raúl, "
        "Montserrat, Jordi, Ainhoa, Rocío, Álvaro, Dolores"
    ),
    _list(
        "García López, Fernández, González, Rodríguez, Sánchez Ruiz, Pérez, Gómez, Martín, Jiménez, Hernández, "
        "Díaz, Moreno, Muñoz, Álvarez, Romero, Navarro Gil, Iglesias, Núñez, Puig, Etxeberria"
    ),
    _list("Calle Mayor, Avenida de la Constitución, Calle del Sol, Plaza de España, Carrer de Balmes, Paseo Nuevo"),
    _towns("Madrid|280##, Barcelona|080##, Sevilla|410##, Bilbao|480##, Palencia|340##, Alicante|030##, Badajoz|060##"),
    "{street}, {number}",
    ("{line}, {postcode} {town}", "{line}, 2º B, {postcode} {town}", "{line} - {postcode} {town}"),
    ("%d/%m/%Y", "%e de %B de %Y", "%d-%m-%Y"),
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
)
IT = Locale(
    "IT",
    "it",
    _list(
        "Francesco, Giulia, Leonardo, Sofia, Alessandro, Martina, Niccolò, Chiara, Giuseppe, Rosa, Matteo, Elena, "
        "Andrea, Beatrice, Salvatore, Ilaria"
    ),
    _list(
        "Rossi, Russo, Ferrari, Esposito, Bianchi, Romano, Colombo, Ricci, Marino, Greco, Bruno, Gallo, Conti, "
        "De Luca, D'Amico, Costa"
    ),
    _list("Via Roma, Corso Italia, Via Garibaldi, Piazza del Popolo, Viale dei Tigli, Via Dante"),
    _towns("Roma|001##, Milano|201##, Torino|101##, Napoli|801##, Perugia|061##, Sassari|071##"),
    "{street} {number}",
    ("{line}, {postcode} {town}", "{line} - {postcode} {town}", "{line}, {postcode} {town} (IT)"),
    ("%d/%m/%Y", "%e %B %Y", "%d.%m.%Y"),
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
)
NL = Locale(
    "NL",
    "nl",
    _list("Daan, Emma, Sem, Julia, Lotte, Bram, Fleur, Pieter, Anouk, Joost, Marijke, Thijs, Noor, Sjoerd, Femke, Rik"),
    _list(
        "de Jong, Jansen, de Vries, van den Berg, van Dijk, Bakker, Visser, Smit, Meijer, Mulder, Bos, Vos, "
        "Hendriks, van Leeuwen, 't Hart, IJsselstein"
    ),
    _list("Dorpsstraat, Kerkstraat, Molenweg, Prinsengracht, Julianalaan, Stationsplein"),
    _towns("Amsterdam|10## @@, Utrecht|35## @@, Rotterdam|30## @@, Groningen|97## @@, Eindhoven|56## @@"),
    "{street} {number}",
    ("{line}, {postcode} {town}", "{line} te {postcode} {town}", "{line} {postcode} {town}"),
    ("%d-%m-%Y", "%e %B %Y", "%d/%m/%Y"),
    "januari februari maart april mei juni juli augustus september oktober november december",
)
PL = Locale(
    "PL",
    "pl",
    _list(
        "Jakub, Zofia, Stanisław, Małgorzata, Łukasz, Agnieszka, Paweł, Katarzyna, Michał, Żaneta, Grzegorz, Ewa, "
        "Wojciech, Bożena, Piotr, Kinga"
    ),
    _list(
        "Nowak, Kowalski, Wiśniewski, Wójcik, Kowalczyk, Kamińska, Lewandowska, Zieliński, Szymański, Dąbrowska, "
        "Kozłowski, Mazur, Krawczyk, Grabowska, Pająk, Zając"
    ),
    _list("ul. Polna, ul. Leśna, ul. Słoneczna, al. Jerozolimskie, ul. Długa, os. Zielone"),
    _towns("Warszawa|00-###, Kraków|30-###, Gdańsk|80-###, Łódź|90-###, Wrocław|50-###, Radzymin|05-###"),
    "{street} {number}",
    ("{line}, {postcode} {town}", "{line}/4, {postcode} {town}", "{line} {postcode} {town}"),
    ("%d.%m.%Y", "%e %B %Y", "%Y-%m-%d"),
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
)
IN = Locale(
    "IN",
    "en",
    _list(
        "Aarav, Ananya, Arjun, Diya, Rohan, Kavya, Vikram, Lakshmi, Sanjay, Meera, Imran, Zoya, Harpreet, Nandini, "
        "Suresh, Padma, राहुल, प्रिया"
    ),
    _list(
        "Sharma, Verma, Iyer, Nair, Reddy, Gupta, Singh, Kaur, Banerjee, Mukherjee, Desai, Joshi, Pillai, "
        "Venkataraman, Chowdhury, Fernandes, शर्मा, वर्मा"
    ),
    _list("MG Road, Gandhi Nagar, Nehru Street, Park Street, Station Road, Lake View Colony"),
    _towns("Mumbai|4000##, New Delhi|1100##, Bengaluru|5600##, Chennai|6000##, Kolkata|7000##, Pune|4110##"),
    "{number}, {street}",
    ("{line}, {town} {postcode}", "{line}, {town} - {postcode}", "Flat 3B, {line}, {town} {postcode}"),
    ("%d/%m/%Y", "%e %B %Y", "%d-%m-%Y"),
    _ENGLISH,
)
JP = Locale(
    "JP",
    "ja",
    _list(
        "Haruto, Yui, Sota, Hina, Ren, Aoi, Takashi, Keiko, Hiroshi, Yoko, Kenji, Sakura, Daisuke, Naomi, 太郎, 花子, "
        "健一, 美咲"
    ),
    _list(
        "Sato, Suzuki, Takahashi, Tanaka, Watanabe, Ito, Yamamoto, Nakamura, Kobayashi, Kato, Yoshida, Ōno, 佐藤, "
        "鈴木, 高橋, 山田"
    ),
    _list("Sakura-dori, Marunouchi, Umeda, Gion, Aoba-dori, Chuo"),
    _towns("Tokyo|10#-00##, Osaka|53#-00##, Kyoto|60#-80##, Sapporo|06#-00##, Sendai|98#-00##"),
    "{number}-7 {street}",
    ("{line}, {town} {postcode}", "〒{postcode} {line}, {town}", "{line}, {town} {postcode}, Japan"),
    ("%Y/%m/%d", "%Y-%m-%d", "%Y年%m月%d日"),
    _ENGLISH,
    family_first=True,
)

# Sixteen places: a customer's number picks one, so a country with three places has three sixteenths of the people.
LOCALES = (US, GB, DE, FR, US, ES, IT, NL, GB, PL, IN, JP, US, DE, FR, GB)

CURRENCY = {"US": "USD", "GB": "GBP", "PL": "PLN", "IN": "INR", "JP": "JPY"}
"""Currency by country; every other country of the sample has EUR."""

_MARKED = "äöüßáàâãåçéèêëíìîïñóòôõúùûýłąęśżźćńşığÄÖÜÁÀÉÈÍÓÑÇÎÉŁŚŻŌō"
_PLAIN = "aousaaaaaceeeeiiiinoooouuuylaeszzcnsigAOUAAEEIONCIELSZOo"
LATIN = str.maketrans(_MARKED, _PLAIN)
"""Letters with diacritics to ASCII, for e-mail addresses."""

AGENTS = (
    "Ben Carter", "Yasmin Haddad", "Tom Lindqvist", "Chiara Moretti", "Sven Albrecht", "Grace Adeyemi", "Luis Ortega",
    "Hannah Whitmore", "Pawel Sikora", "Neha Kulkarni", "Élodie Marchand", "Kenta Mori", "Rachel Stein", "Omar Farouk",
    "Jana Novotná", "Mark de Boer",
)  # fmt: skip
"""The agents who answer the tickets."""

RIGHT_TO_LEFT = ("שרה לוי", "دانيال حداد", "יוסף כהן", "ليلى منصور")
SEGMENTS = ("consumer", "consumer", "consumer", "small_business", "enterprise", "vip", "consumer", "small_business")
SEGMENT_AFTER = {"consumer": "vip", "small_business": "enterprise", "enterprise": "small_business", "vip": "consumer"}
PRODUCTS = (
    "Oliver desk lamp", "Stella kettle", "AeroBrew Go 2", "Brighton armchair", "Jasmine duvet set", "Model X200 router",
    "Paris bistro table", "TrailMax 40L backpack", "Victoria sponge tin", "Austin work boots", "Luna 3 headphones",
    "Cambridge satchel", "Ruby phone case", "Kobe chef's knife", "UltraCharge 65W adapter", "Hugo bean bag",
)  # fmt: skip
"""Names of products; some look like names of people or towns."""
