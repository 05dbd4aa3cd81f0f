"""Sentences of support tickets in languages other than English, by language. Slots are as in `sentences.py`.

Data alone.
"""

from __future__ import annotations

ABROAD: dict[str, tuple[str, ...]] = {
    "de": (
        "Guten Tag, mein Name ist {name} und ich warte seit dem {date} auf meine Lieferung.",
        "Bitte rufen Sie mich unter {phone} zurück.",
        "Meine neue Anschrift lautet {address}.",
        "Ich bin am {born} geboren, das Konto läuft auf {name}.",
        "Bitte überweisen Sie den Betrag von {price} auf {iban}.",
        "Herr {family} hat die Rechnung zu {order} nicht erhalten.",
        "Schreiben Sie mir an {email}, nicht an {other}.",
        "Der Artikel {sku} ist leider defekt angekommen.",
        "die sendung {tracking} hängt seit tagen fest",
        "Gemäß DSGVO bitte ich um Löschung aller Daten zu {name}, {email}.",
        "{agent} hatte mir eine Gutschrift über {price} zugesagt.",
    ),
    "fr": (
        "Bonjour, je m'appelle {name} et ma commande {order} n'est pas arrivée.",
        "Vous pouvez me joindre au {phone} après {clock}.",
        "Ma nouvelle adresse est {address}.",
        "Je suis né(e) le {born}.",
        "Merci de rembourser {price} sur le compte {iban}.",
        "Mon mail est {email}, celui de {other} est {other_email}.",
        "Le produit {sku} ne fonctionne plus depuis la version {version}.",
        "jai toujours pas recu mon colis {tracking}",
        "Madame {family} demande l'effacement de ses données.",
    ),
    "es": (
        "Hola, soy {name} y mi pedido {order} no ha llegado.",
        "Mi teléfono es {phone}, llámenme por la tarde.",
        "He cambiado de domicilio: {address}.",
        "Nací el {born}, por si hace falta.",
        "Me han cobrado dos veces en la tarjeta {card}.",
        "Escríbanme a {email}, por favor.",
        "El paquete {tracking} lleva parado desde el {date}.",
        "lo recogió {other}, del segundo",
    ),
    "it": (
        "Buongiorno, sono {name}, ordine {order}.",
        "Il mio numero è {phone}.",
        "L'indirizzo corretto è {address}.",
        "Sono nato il {born}.",
        "Il rimborso va fatto su {iban}, intestato a {name}.",
        "Il pacco {tracking} risulta fermo dal {date}.",
        "La signora {family} chiede la fattura a {email}.",
    ),
    "nl": (
        "Hallo, mijn naam is {name} en ik heb bestelling {order} niet ontvangen.",
        "Bel mij op {phone}.",
        "Ons nieuwe adres: {address}.",
        "Mijn geboortedatum is {born}.",
        "Graag {price} terug op {iban}.",
        "Het pakket is afgegeven bij de buren, {other}.",
        "versie {version} werkt niet meer sinds {date}",
    ),
    "pl": (
        "Dzień dobry, nazywam się {name}, zamówienie {order}.",
        "Proszę o kontakt pod numerem {phone}.",
        "Mój nowy adres to {address}.",
        "Data urodzenia: {born}.",
        "Proszę o zwrot {price} na konto {iban}.",
        "Paczka {tracking} nie dotarła do {date}.",
    ),
    "ja": (
        "{name}と申します。注文番号{order}の件です。",
        "電話番号は{phone}です。",
        "住所は{address}に変わりました。",
        "生年月日は{born}です。",
        "メールは{email}にお願いします。",
        "商品{sku}がまだ届きません。",
    ),
}
"""Tickets from English-speaking countries are in English."""

FAREWELLS = {
    "de": "Mit freundlichen Grüßen {name}",
    "fr": "Cordialement, {name}",
    "es": "Un saludo, {given}",
    "it": "Cordiali saluti, {name}",
    "nl": "Groetjes, {given}",
    "pl": "Pozdrawiam, {name}",
    "ja": "{name}より",
}
"""Sign-offs by language."""

RIGHT_TO_LEFT = (
    "שלום, אפשר לכתוב אליי ל {email}?",
    "مرحبا، رقم هاتفي {phone} شكرا",
    "ההזמנה {order} לא הגיעה.",
)
"""Sentences in right-to-left scripts, for tickets that mix writing directions."""
