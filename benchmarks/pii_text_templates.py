"""Templates of prose in many registers, for `pii_text.py`: `{{kind}}` is the slot of an invented value.

Belongs here: the templates. Does not belong here: what fills them, and what is measured. Even ones are for
development, odd ones are held out.
"""

TEMPLATES = (
    # support chat
    "hi its {{first_name}}, my parcel never came. can u call me on {{phone_number}}?",
    "Agent: may I have your full name please? Customer: {{person}}. Agent: and the email? Customer: {{email}}",
    "hello i am {{first_name_lower}} and i cannot log in with {{email}}, thx",
    "Order 482913 was delivered to {{address}} instead of {{address}}!!",
    "[10:42] {{first_name}} {{last_name}}: still nothing. [10:43] support: we will check, thanks for waiting.",
    "Refund of 42.50 EUR goes to {{iban}}, account holder {{person}}.",
    "Please stop calling {{phone_number}}, that is my mother {{person}}'s number.",
    "My card {{credit_card_number}} was charged twice for order A-20934-B.",
    # medical notes
    "Pt {{person}}, {{age}} y/o male, DOB {{date_of_birth}}, presents with chest pain since Monday. BP 140/90.",
    "Dr. {{last_name}} saw the patient on {{date}} and recommends follow-up in 3 weeks.",
    "MRN: {{mrn}}. Patient {{last_name}}, {{first_name}} lives alone in {{city}}. Metformin 500 mg twice daily.",
    "Referred by Dr {{person}} ({{phone_number}}). Allergies: penicillin. No known family history.",
    "Discharge summary: {{prefix}} {{last_name}} was admitted {{date}} with pneumonia, discharged home in stable"
    " condition.",
    "Next of kin: {{person}}, {{address}}, tel {{phone_number}}.",
    "{{age}}-year-old woman from {{city}} with type 2 diabetes. HbA1c 7.2 %. Insurance no. {{mrn}}.",
    "Mother of {{first_name}} called, fever 39.2 since yesterday; advised fluids and rest.",
    # human resources
    "{{person}} joined the finance team on {{date}} and reports to {{person}}.",
    "Please update the emergency contact of {{first_name}} {{last_name}} to {{person}}, {{phone_number}}.",
    "Interview notes: {{first_name}} was well prepared, strong in SQL, salary expectation 65k. Previous job in"
    " {{city}}.",
    "Termination letter sent to {{person}}, {{address}}, on {{date}}.",
    "Payroll: pay {{iban}} (SSN {{ssn}}) monthly from March.",
    "{{last_name}} asked for parental leave; {{first_name}} from HR will follow up by Friday.",
    "The candidate, {{person}}, is {{nationality}} and needs a visa. Passport {{passport}}.",
    "Her line manager {{person}} says the review can wait until Q3.",
    # logs and machines
    "2024-03-01T10:22:31Z INFO login user={{email}} ip={{ip_address}} status=200 took=34ms",
    "WARN failed password for {{username}} from {{ip_address}} port 52211 ssh2",
    '{"id": 91823, "customer": {"name": "{{person}}", "email": "{{email}}", "phone": "{{phone_number}}"},'
    ' "total": 99.9}',
    "GET /search?q=shoes&email={{email_encoded}}&page=2 HTTP/1.1 200 5123",
    '{"event":"signup","city":"{{city}}","dob":"{{date_of_birth_iso}}","plan":"pro","version":"2.14.0"}',
    "payment_failed card={{credit_card_number}} attempt=3 trace=6f1c2b7e-54aa-4c0e-9b0f-0d5f2a1b7c11",
    "device {{mac}} connected via {{ip_address}}, firmware 4.2.1.17, uptime 123456 s",
    "name,email,city\n{{person}},{{email}},{{city}}\n{{person}},{{email}},{{city}}",
    # e-mail
    "Dear {{first_name}},\n\nthank you for your order. It ships to {{address}}.\n\nKind"
    " regards,\n{{person}}\n{{phone_number}}",
    "From: {{person}} <{{email}}>\nTo: {{person}} <{{email}}>\nSubject: lunch\n\nTuesday at noon works for me."
    " Cheers, {{first_name}}",
    "Hi all, {{first_name}} and {{first_name}} are out next week. {{first_name}} covers support. Best, {{first_name}}",
    "As discussed with {{prefix}} {{last_name}} please forward the contract to {{email}} before {{date}}.",
    "FYI: {{person}} moved to {{city}}, new address {{address}}. Please update the files.",
    "Bonjour, je m'appelle {{person_fr}} et j'habite au {{address_fr}}. Mon numéro est le {{phone_fr}}. Merci,"
    " {{first_name_fr}}",
    "Sehr geehrter Herr {{last_name_de}}, Ihre Bestellung geht an {{address_de}}. Mit freundlichen Grüßen,"
    " {{person_de}}",
    "Hola, soy {{person_es}}, vivo en {{city_es}} y mi teléfono es {{phone_es}}. Gracias.",
    "Mein Name ist {{person_de}}, geboren am {{date_of_birth_dotted}} in {{city_de}}. Bitte rufen Sie mich unter"
    " {{phone_de}} an.",
    "Buongiorno, sono {{person_it}}, abito in {{address_it}}. Cordiali saluti, {{person_it}}",
    # messages
    "running late, tell {{first_name_lower}} i'm at {{city}} station",
    "happy birthday {{first_name_lower}}!! see u at {{address}} tonight",
    "it's {{first_name}} from the gym, this is my new number {{phone_number}}",
    "did {{first_name}} tell you {{first_name}} is moving to {{city}}?",
    "wifi password is {{password}}, don't share. ask {{first_name}} if it fails",
    "meet me outside {{address}} at 8, text {{phone_number}} when you're there",
    # forms
    "Name: {{person}}\nAddress: {{address}}\nPhone: {{phone_number}}\nE-mail: {{email}}\nDate of birth:"
    " {{date_of_birth}}",
    "SURNAME: {{last_name_upper}}\nGIVEN NAMES: {{first_name_upper}}\nNATIONALITY: {{nationality}}\nPASSPORT NO:"
    " {{passport}}",
    "Applicant {{person}}; SSN {{ssn}}; driver's license {{driver_license}}; address {{address}}",
    "Bill to: {{person}}, {{address}}. VAT included. Total: $1,204.00. Due in 30 days.",
    "Emergency contact ........ {{person}} ({{phone_number}})\nPhysician ........ Dr. {{person}}",
    "Guest: {{person_upper}} / Room 1204 / arrival {{date}} / card {{credit_card_number}}",
    # reports and news
    "{{person}}, {{age}}, of {{city}}, was named head of the foundation on {{date}}.",
    "According to {{person}}, the project in {{city}} was delayed because of the weather.",
    "Police in {{city}} said {{last_name}} had been driving a red van when the accident happened.",
    "The {{nationality}} delegation led by {{prefix}} {{last_name}} arrived in {{city}} on {{date}}.",
    "Witness {{person}} lives at {{address}} and can be reached at {{phone_number}}.",
    "Mr and Mrs {{last_name}} bought the house at {{address}} in the spring.",
    # nothing personal
    "Please restart the router and wait 30 seconds. The light should turn green. Version 2.4.1 fixes this.",
    "Order ORD-2938475 (SKU 8837-22-X) shipped on time; 3 items, total 1,299.00 EUR, VAT 19 %.",
    "Revenue rose by 12 % in the second quarter, the Board said. Costs fell to 4.2 million.",
    "The Monthly Report is ready. See Chapter 3, Table 12, and the Annual Summary for Details.",
    "Build 20240117.3 failed: TypeError in Parser.parse at line 1032, commit 9fceb02d0ae598e95dc970b74767f19372d61af8.",
    "Great Service, Fast Delivery! Would buy again. Five stars for the Blue Kettle and the Garden Chair.",
)
"""Sentences and short texts, a tenth of them without personal data."""
