"""`read(header)`: the kind of personal data that a column's header names, in several languages.

Belongs here: splitting a header into words, and the words of each kind of personal data. Does not belong here:
looking at values (`cells.py`), and weighing the two against each other (`decide.py`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from atlas_pipeline.pii.columns.vocabulary import EAST_ASIAN, EAST_ASIAN_THINGS, MONEY_AND_TRAILS, SENSITIVE
from atlas_pipeline.pii.gazetteer import fold, listed
from atlas_pipeline.pii.kinds import SENSITIVE_KINDS
from atlas_pipeline.pii.normalise import clean


@dataclass(frozen=True)
class Hint:
    """What a header names. `kind` is None where it names no kind of personal data; then `other` tells whether it names
    something else, such as an id, a flag or a product, or nothing, such as `col1`. `strong`: its words are specific to
    the kind. `words`: the header's words, folded, without numbers."""

    kind: str | None = None
    strong: bool = False
    other: bool = False
    words: tuple[str, ...] = ()


_STRONG = {
    "EMAIL_ADDRESS": "email;email address;email adresse;email adres;email addresses;mail address;correo;"
    "correo electronico;courriel;adresse mail;posta elettronica;correio eletronico;emails",
    "PHONE_NUMBER": "phone;telephone;tel;mobile number;mobile phone;mobile no;cell phone;cell number;cellphone;fax;"
    "msisdn;whatsapp;telefon;telefonnummer;handynummer;mobilnummer;rufnummer;telefono;celular;numero movil;"
    "telefone;telemovel;cellulare;telefoon;telefoonnummer;mobiel;numero de telephone;contact number;contact no;"
    "telefax;phones;phone number;telephone number;tlf;telefonszam;numer telefonu;puhelin;sms number",
    "DATE_OF_BIRTH": "bdate;birth date year;dob;d o b;date of birth;birth date;birthday;birth day;birth year;"
    "year of birth;birth month;month of birth;day of birth;date birth;birth dt;birthdate;bday;geburtsdatum;geburtstag;"
    "geburtsjahr;geb datum;fecha de nacimiento;fecha nacimiento;ano de nacimiento;date de naissance;date naissance;"
    "annee de naissance;data di nascita;data nascita;anno di nascita;data de nascimento;data nascimento;geboortedatum;"
    "geboortejaar;fodselsdato;fodelsedatum;syntymaaika;data urodzenia;born on;born;yob;birth",
    "STREET_ADDRESS": "street address;street;street name;home address;mailing address;postal address;"
    "billing address;shipping address;delivery address;residence address;residential address;address line;address;"
    "addr;adresse;strasse;anschrift;direccion;domicilio;calle;indirizzo;endereco;rua;morada;logradouro;"
    "adres;straat;straatnaam;hausnummer;house number;rue;adress;gatuadress;ulica",
    "ZIPCODE": "zip;zip code;zipcode;postal code;postcode;post code;postal;plz;postleitzahl;codigo postal;"
    "code postal;codice postale;cep;pincode;pin code;kod pocztowy;postnummer;postnr;eircode",
    "CITY": "city;town;stadt;ort;wohnort;ciudad;ville;citta;comune;cidade;municipio;stad;woonplaats;plaats;miasto;"
    "suburb;municipality;hometown;home town;birthplace;birth place;place of birth;birth city;city of birth;"
    "geburtsort;lugar de nacimiento;lieu de naissance;luogo di nascita;geboorteplaats;poblacion;localidad;localite",
    "GENDER": "gender;sex;geschlecht;sexo;genero;sexe;genre;sesso;genere;geslacht;kjonn;kon;plec",
    "AGE": "age;age years;alter;edad;eta;idade;leeftijd;age group;age range",
    "NRP": "race;ethnicity;ethnic group;ethnic;ethnic origin;religion;religious affiliation;nationality;citizenship;"
    "political party;political affiliation;political opinion;nationalitat;staatsangehorigkeit;konfession;"
    "nacionalidad;nationalite;nazionalita;nacionalidade;nationaliteit;etnia;raza;raca;religione;religiao;godsdienst;"
    "caste;tribe",
    "MARITAL_STATUS": "marital status;marital;marriage status;civil status;familienstand;estado civil;etat civil;"
    "stato civile;burgerlijke staat;relationship status",
    "CREDIT_CARD": "credit card;credit card number;card number;card no;cc number;cc num;ccn;kreditkarte;"
    "kreditkartennummer;tarjeta;numero de tarjeta;numero tarjeta;carte de credit;numero de carte;carte bancaire;"
    "carta di credito;cartao;cartao de credito;numero do cartao;creditcard;payment card;debit card",
    "IBAN_CODE": "iban;iban code;iban number",
    "ACCOUNT_NUMBER": "bank account;bank account number;account number;account no;acct no;acct number;acct num;"
    "kontonummer;konto;numero de cuenta;cuenta bancaria;numero de compte;conto corrente;conta bancaria;"
    "rekeningnummer;routing number;sort code;aba;bic;swift;bsb;clabe",
    "US_SSN": "ssn;ssn last;last ssn;ssn last four;last four ssn;social security;"
    "social security number;social security no;soc sec",
    "UK_NHS": "nhs;nhs number;nhs no",
    "HEALTH_ID": "health insurance no;health insurance id;health insurance;insurance no;insured number;"
    "insurance policy number;insurance member id;krankenversichertennummer;krankenversicherungsnummer;carte vitale;"
    "ehic;health card number;tarjeta sanitaria;tessera sanitaria;cartao de saude;zorgverzekeringsnummer;nhi number;"
    "taj szam;medicare;medicare number;medicaid;mrn;medical record number;health insurance number;insurance number;"
    "health card;versichertennummer;krankenversicherung;health id;npi;mbi",
    "TAX_ID": "tax file number;nipt;rut;rif;kra pin;ird number;afm;"
    "tax id;tax number;tax identification number;itin;vat;vat number;vat id;steuernummer;steuer id;"
    "steuer identifikationsnummer;ust id;partita iva;tfn;gstin;pan card;numero fiscal;cuit",
    "NATIONAL_ID": "cnic;kennitala;isikukood;asmens kodas;personas kods;svnr;ahv nummer;rrn;hkid;teudat zehut;"
    "emirates id;iqama;voter id;matricule national;rijksregisternummer;pps number;sa id number;thai id;amka;"
    "rentenversicherungsnummer;"
    "national id;national identification;national identity;national insurance;national insurance "
    "number;nino;identity card;identity number;id card;citizen id;personal id number;personalausweis;ausweisnummer;"
    "dni;curp;cpf;cedula;codice fiscale;bsn;burgerservicenummer;personnummer;fodselsnummer;cpr;pesel;"
    "aadhaar;aadhar;nric;sozialversicherungsnummer;numero de securite sociale;social insurance number;"
    "henkilotunnus;hetu;rodne cislo;cnp;oib;egn;jmbg;tckn;tc kimlik;resident registration number;id number card",
    "PASSPORT": "passport;passport number;passport no;pasaporte;passeport;passaporto;passaporte;paspoort;reisepass;"
    "passnummer;paszport",
    "DRIVER_LICENSE": "driver license;drivers license;driver licence;drivers licence;driving license;driving licence;"
    "driver s license;driver s licence;dl number;dl no;license number driver;fuhrerschein;fuhrerscheinnummer;"
    "licencia de conducir;permis de conduire;patente di guida;carteira de motorista;cnh;rijbewijs;carta de conducao",
    "VEHICLE_ID": "vin;vehicle identification number;license plate;licence plate;number plate;plate number;kennzeichen;"
    "matricula;immatriculation;targa;kenteken;vehicle registration;vehicle tag;vin number",
    "IP_ADDRESS": "ip;ip address;ipv4;ipv6;ip addr;client ip;remote addr;remote address;ipaddress",
    "MAC_ADDRESS": "mac address;hardware address;ethernet address",
    "DEVICE_ID": "imei;imsi;meid;iccid;idfa;gaid;advertising id;device id;device identifier;android id;udid",
    "GEO_COORDINATES": "lat;latitude;lon;lng;longitude;lat long;lat lon;lat lng;latlong;latlng;coordinates;coordinate;"
    "coords;gps;geo;geolocation;geo location;breitengrad;langengrad;latitud;longitud;latitudine;longitudine",
    "URL": "url;uri;website;web site;homepage;home page;href;web page;webseite;sitio web;site web;sito web;permalink",
    "SECRET": "password;passwd;pwd;passphrase;passcode;secret;api key;apikey;access token;auth token;secret key;"
    "private key;access key;refresh token;client secret;kennwort;passwort;contrasena;mot de passe;senha;wachtwoord;"
    "password hash;cvv;cvc;cvv2;security code;otp;security answer",
    "USERNAME": "username;user name;login;login name;nickname;screen name;twitter handle;benutzername;"
    "nombre de usuario;usuario;nom d utilisateur;identifiant;nome utente;nome de usuario;gebruikersnaam;"
    "skype;twitter;instagram;github;telegram;user login;gamertag",
    "CRYPTO": "bitcoin address;btc address;wallet;wallet address;ethereum address;crypto address",
    "ORGANIZATION": "company;company name;organization;organisation;organization name;organisation name;org name;org;"
    "employer;firma;unternehmen;empresa;compania;entreprise;societe;azienda;bedrijf;business name;school name;school;"
    "university;hospital;hospital name;bank name;agency;vendor;supplier;manufacturer;institution;provider name",
    "PERSON": "first name;last name;given name;given names;family name;surname;forename;middle name;maiden name;"
    "full name;legal name;person name;preferred name;fname;lname;mname;vorname;nachname;familienname;"
    "vollstandiger name;nombre completo;apellido;apellidos;primer apellido;segundo apellido;prenom;nom de famille;"
    "nom complet;nome completo;cognome;sobrenome;apelido;voornaam;achternaam;volledige naam;imie;nazwisko;fornavn;"
    "etternavn;efternavn;fornamn;efternamn;etunimi;sukunimi;middle initial;last initial;name first;name last;"
    "name middle;name full;fullname;christian name;second name;father name;mother name;nome di battesimo;nachnamen",
}
_WEAK = {
    "PERSON": "name;names;nombre;nombres;nom;nome;naam;navn;namn;nimi;nazwa;customer;client;patient;employee;author;"
    "owner;manager;created by;updated by;modified by;assigned to;first;last;teacher;student;judge;attorney;lawyer;"
    "doctor;physician;officer;agent;driver;parent;mother;father;spouse;guardian;kin;user;person;people;player;staff;"
    "signatory;recipient;sender;beneficiary;payee;holder;cardholder;applicant;candidate;contact;attn;attention;member;"
    "assignee;reporter;submitter;creator;director;actor;actress;artist;writer;editor;reviewer;supervisor;instructor;"
    "coach;passenger;guest;tenant;resident;victim;suspect;defendant;plaintiff;witness;nurse;therapist;cliente;"
    "paciente;empleado;kunde;patientin;ansprechpartner;mitarbeiter;auteur;autor;autore;medico;medecin;arzt;"
    "responsable;responsabile;contacto;kontakt;klant;contato;funcionario;dipendente;medewerker;sales rep;"
    "representative;salesperson;buyer;seller;donor;investigator;principal;trustee;ceo;president;candidat;hero;winner",
    "PHONE_NUMBER": "mobile;cell;handy;movil;portable;landline;gsm;contact;whats app;phone home",
    "STREET_ADDRESS": "via;str;location;location text;residence;lieu;plot",
    "CITY": "location;place;locality",
    "GEO_COORDINATES": "long;location",
    "USERNAME": "handle;alias;user;author;owner;login id",
    "NATIONAL_ID": "sin;fin;rg;nir;nie;nif;identification;identification number;document number;documento;"
    "numero documento;id no",
    "ACCOUNT_NUMBER": "account;acct",
    "DRIVER_LICENSE": "license number;licence number;license no;licence no",
    "CREDIT_CARD": "card;cc;pan",
    "TAX_ID": "tin;ein;nip;utr;rfc",
    "SECRET": "pin;token",
    "ZIPCODE": "cap;cp",
    "MAC_ADDRESS": "mac",
    "URL": "web;link",
    "EMAIL_ADDRESS": "mail",
}
_NOTHING = (
    "user agent;mother tongue;home team;away team;name suffix;name prefix;time zone;social media;race time;mail server;"
    "street view;phone ext;state of birth;country of birth;birth country;birth state;sex ratio;age of;web server;"
    "token count;token type;home run;address book;guest count;driver class;contact us;home phone type;agent version"
)
"""Phrases that contain a word of personal data and mean something else."""
_NOT_PEOPLE = listed(
    "state country county region province district team league club brand ship vessel drug medicine species program "
    "course subject category store shop station airport hotel restaurant building river mountain lake park repo "
    "repository branch project dataset table column field variable function method package module library app "
    "application site section menu bucket queue topic campaign policy rule test game movie film book song album track "
    "show series episode scientific common latin chemical gene protein disease symptom document doc form template "
    "report image icon font layer attribute property parameter param config setting tag role permission domain zone "
    "cluster node instance container pod namespace schema database db command sheet host file path event item product "
    "model service device driver hostname network wifi ssid layout horse dog pet plan unit color breed variety dish"
)
"""Things that have a name and are not people."""
_PERSON_QUALIFIERS = listed(
    "first last given family middle maiden full legal preferred display nick christian birth real own complete "
    "customer client patient employee author owner manager teacher student judge attorney lawyer doctor physician "
    "officer agent driver parent mother father spouse guardian kin user person people player staff signatory "
    "recipient sender beneficiary payee holder cardholder card applicant candidate contact member assignee reporter "
    "submitter creator director actor actress artist writer editor reviewer supervisor instructor coach passenger "
    "guest tenant resident victim suspect defendant plaintiff witness nurse therapist donor investigator principal "
    "emergency next of primary secondary alternate billing shipping bill ship buyer seller committer kid child "
    "children wife husband brother sister faculty professor tutor leader chair speaker voter lead worker responsible "
    "s ceo president account acct subject participant respondent trainer referee the kunden mitarbeiter "
    "patienten klant klanten cliente client kontakt contacto usuario utilisateur benutzer empleado employe inhaber "
    "besitzer proprietario titular alumno schuler lehrer eleve etudiant studenten medewerker dipendente funcionario "
    "left right"
)
_ATTRIBUTES = listed(
    "type types count counts sent status state verified confirmed valid validated model flag opt optin optout consent "
    "subscribed enabled disabled format domain provider carrier brand os version category kind score precision "
    "quality length size os bounce bounced clicked opened open updated created modified at time timestamp hash md5 "
    "sha256 issued expired expiry expiration expires exp result results method source index idx rank weight height "
    "order amount price total sum avg average mean median min max pct percent percentage ratio rate extension ext "
    "mime template subject body language lang visible hidden required allowed preference preferences class group "
    "level start end duration plan make manufacturer color colour platform speed quantity qty limit unit units label "
    "description desc reason note notes comment comments exists missing complete completed change changed balance fee "
    "cost purchased sold year month date typ tipo anzahl datum estado statut stato fecha"
)
_NOT_SENSITIVE = listed(
    "avg average mean median min max minimum maximum sum count counts num nb total std stddev pct percent percentage "
    "ratio share currency unit units url link image icon table catalog catalogue job position role grade stock "
    "inventory warehouse opening closing trial ledger sheet server system device battery data model test drug "
    "price cost sort order index product category store shop team department dept region country state county gl "
    "national household per due invoice order payment cash budget target goal"
)
"""Words that make numbers of many, or of things, of a header of a sensitive kind."""
_FLAG_PREFIXES = listed(
    "is has show hide can allow allows send use uses num count total n bad no verified needs need require requires "
    "avg mean min max did does was want wants include includes enable disable same days delay hours nb "
    "accepts missing invalid valid"
)
_GENERIC = listed(
    "id ids uuid guid key code codes number no nr num sku isbn ean upc gtin asin order orders invoice price amount "
    "total qty quantity cost version build revision rev commit hash sha checksum status type category count index idx "
    "epoch timestamp ts time date year month day hour minute created updated modified sku ref reference ticket case "
    "serial batch lot barcode part item product catalog model score rating rank size weight height width length "
    "percent ratio flag active enabled currency unit units file path folder host hostname server event task job "
    "process port pid level lineno offset bytes population distance duration temperature value balance tax salary "
    "income revenue discount tracking shipment fips tract channel session page coordinate"
)
_DATE_PARTS = (frozenset[str](), frozenset({"year", "month", "day", "date", "time"}))
_NAME_WORDS = listed("name names nombre nombres nom nome naam navn namn nimi nazwa")
_NEUTRAL_TAIL = listed("id text str string value line info primary home work x y")
_SHORT = {
    "nm": "name",
    "ph": "phone",
    "phn": "phone",
    "mob": "mobile",
    "addr": "address",
    "adr": "address",
    "emp": "employee",
    "cust": "customer",
    "pt": "patient",
    "dt": "date",
    "cd": "code",
    "nbr": "number",
    "telefonnr": "telefonnummer",
    "lname": "last name",
    "mobileno": "mobile number",
    "phoneno": "phone number",
}
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "ı": "i"})
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u3012]")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zà-ÿ])")
_SUFFIXES = listed("name number id no nr ip dt nummer address addr date code phone mail email year num day")


@cache
def _phrases() -> dict[tuple[str, ...], list[tuple[str, bool]]]:
    """The kinds that each phrase may name, and whether it is a strong hint; the kind "" means something else."""
    kinds = {tuple(phrase.split()): [("", True)] for phrase in _NOTHING.split(";")}
    for strong, lists in ((True, _STRONG), (True, SENSITIVE), (False, MONEY_AND_TRAILS), (False, _WEAK)):
        for kind, phrases in lists.items():
            for phrase in phrases.split(";"):
                kinds.setdefault(tuple(phrase.split()), []).append((kind, strong))
    return kinds


@cache
def _vocabulary() -> frozenset[str]:
    single = {word for phrase in _phrases() for word in phrase}
    return frozenset(
        single
        | _PERSON_QUALIFIERS
        | _GENERIC
        | _SHORT.keys()
        | _ATTRIBUTES
        | _NOT_PEOPLE
        | {"e", "src", "dst", "remote", "source"}
    )


def words(header: str) -> tuple[str, ...]:
    """The words of a header, folded: `LenderZipCode`, `b_firstname` and `E-Mail-Adresse` are split into their parts."""
    text = clean(header).translate(_LETTERS)
    parts = [part for raw in _WORDS.findall(text) for part in _split(raw)]
    joined: list[str] = []
    for part in parts:
        if part == "mail" and joined and joined[-1] == "e":
            joined[-1] = "email"
        else:
            joined.extend(_SHORT.get(part, part).split())
    return tuple(joined)


def _split(raw: str) -> Iterator[str]:
    """Split a run of letters into words. A known word such as `DoB` is kept whole."""
    if fold(raw) in _vocabulary():
        yield fold(raw)
        return
    for part in _CAMEL.sub(" ", raw).split():
        word = fold(part)
        cut = len(word) if word in _vocabulary() else _compound(word)
        yield from filter(None, (word[:cut], word[cut:]))


def _compound(word: str) -> int:
    """Where a word such as `birthdate` splits into two known ones; its length if it does not."""
    for suffix in sorted(_SUFFIXES):
        stem = word.removesuffix(suffix)
        if stem != word and (len(stem) > 3 or len(suffix) > 2) and len(stem) > 1 and stem in _vocabulary():
            return len(stem)
    return len(word)


@lru_cache(maxsize=4096)
def read(header: str) -> Hint:
    """What the header names, by its longest known phrase and the words around it."""
    named = tuple(word for word in words(header) if not word.isdigit())
    if _UNSPACED.search(header) and (kind := _east_asian(clean(header))):
        return Hint(kind, True, words=named)
    for length, start in _spans(len(named)):
        options = _phrases().get(named[start : start + length])
        if options:
            return _judge(named, start, length, *options[0])
    if len(named) > 1 and named[-1] == "by":
        return Hint("PERSON", False, words=named)
    return Hint(other=bool(set(named) & _GENERIC), words=named)


def _east_asian(header: str) -> str:
    """The kind that a header in Chinese, Japanese or Korean names, which has no blanks between words; else nothing."""
    text = header.replace(" ", "").upper()
    if any(thing in text for thing in EAST_ASIAN_THINGS.split(";")):
        return ""
    terms = ((len(term), kind) for kind, line in EAST_ASIAN.items() for term in line.split(";") if term in text)
    return max(terms, default=(0, ""))[1]


def _spans(count: int) -> Iterator[tuple[int, int]]:
    """Length and start of each phrase of at most four words: the longest first, of equal ones the last, since a
    header's noun is at its end."""
    for length in range(min(count, 4), 0, -1):
        yield from ((length, start) for start in range(count - length, -1, -1))


def _judge(named: tuple[str, ...], start: int, length: int, kind: str, strong: bool) -> Hint:
    before, tail = named[:start], named[start + length :]
    if kind in SENSITIVE_KINDS:
        return Hint(other=True, words=named) if _NOT_SENSITIVE & {*before, *tail} else Hint(kind, strong, words=named)
    if (
        not kind
        or (before and before[0] in _FLAG_PREFIXES)
        or set(tail) & (_ATTRIBUTES - _DATE_PARTS[kind == "DATE_OF_BIRTH"])
    ):
        return Hint(other=True, words=named)
    if kind == "PERSON" and not strong:
        return _person(named, before, tail)
    allowed = _NEUTRAL_TAIL | {"number", "no", "nr", "num", "code"} | _DATE_PARTS[kind == "DATE_OF_BIRTH"]
    if tail and set(tail) & (_GENERIC - allowed):
        return Hint(other=True, words=named)
    if (kind == "AGE" and set(before) - _PERSON_QUALIFIERS) or (kind == "ORGANIZATION" and tail):
        return Hint(words=named)
    if "id" in tail and kind not in {"EMAIL_ADDRESS", "NATIONAL_ID", "TAX_ID", "USERNAME"}:
        return Hint(other=True, words=named)
    return Hint(kind, strong, words=named)


def _person(named: tuple[str, ...], before: tuple[str, ...], tail: tuple[str, ...]) -> Hint:
    """`name` alone, or a person's role: a weak hint, unless the words around it name something else."""
    if set(tail) & (_GENERIC | _ATTRIBUTES):
        return Hint(other=True, words=named)
    is_name = named[len(before)] in _NAME_WORDS
    if set(tail) - _PERSON_QUALIFIERS - _NAME_WORDS and not is_name:
        return Hint(words=named)
    owner, _ = _phrases().get(before[-1:], [("PERSON", True)])[0]
    if is_name and owner in {"ORGANIZATION", "CITY", "STREET_ADDRESS"}:
        return Hint(owner, True, words=named)
    if set(before) & (_NOT_PEOPLE | (_GENERIC - _PERSON_QUALIFIERS)):
        return Hint(other=True, words=named)
    return Hint("PERSON", False, words=named)


def names_of(header: tuple[str, ...]) -> bool:
    """Whether the words before `name` all belong to people, as in `authorName`."""
    return len(header) > 1 and all(word in _PERSON_QUALIFIERS for word in header[:-1])


def qualified(header: tuple[str, ...]) -> bool:
    """Whether words that do not belong to people stand with `name`, as in `repoName`."""
    return bool(_NAME_WORDS & set(header)) and any(
        word not in _PERSON_QUALIFIERS | _NAME_WORDS and len(word) > 1 for word in header
    )
