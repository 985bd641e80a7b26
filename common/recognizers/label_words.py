"""The words that common/recognizers/labels.py knows, by label, in the languages that people write numbers in."""

WORDS = {
    "PHONE": """
        phone phones tel tele telefax fax faxes facsimile mobile mob cell cellular cellphone call calls called calling
        dial dialed dialled dialing text texted sms whatsapp viber telegram hotline helpline landline voicemail
        pager msisdn caller callback reach reached ph tollfree toll-free
        handy handynummer rufnummer mobilnummer faxnummer ruf anrufen erreichbar erreichen durchwahl festnetz mobil
        tél portable appeler appelez appelle appelez-moi joindre joignable télécopie contacter
        móvil movil celular llamar llame llama llámame llámenos llamada telefónico
        telemóvel telemovel ligar ligue ligação fone
        cellulare chiamare chiamami chiama chiamate chiami
        bellen bel gebeld mobiel gsm mobilnr telefonnr tlf ringa ringe
        komórka komórkowy zadzwoń zadzwonić puhelin puhelinnumero soita
        тел моб мобильный мобильного номером тлф τηλ κινητό τηλέφωνο هاتف جوال الهاتف फ़ोन मोबाइल טלפון נייד cep
    """,
    "CONTACT": """
        number numbers nummer numéro numero número numer номер номеру номера
    """,
    "PLACE": """
        contact ring office home work extension ext emergency daytime evening kontakt contacto contato contatto
    """,
    "SSN": "ssn ssns social itin tin taxpayer ssnumber",
    "CARD": """
        card cards visa mastercard amex discover maestro diners jcb cc ccn creditcard debit credit pan cardnumber karte
        kreditkarte carte tarjeta carta cartão kaart kreditkort
    """,
    "ROUTING": "routing aba rtn transit micr",
    "ACCOUNT": """
        account acct acc a/c checking savings accountnumber acctno accountno bankaccount
        konto kontonummer compte cuenta conta conto rekening rekeningnummer bban
    """,
    "ID": """
        id ids uid uuid guid pid tid gid order orders invoice receipt tracking track ticket case reference ref
        transaction txn trx confirmation serial sku isbn issn doi part product item model batch lot shipment package
        parcel policy claim member membership customer client employee student license licence passport vin plate zip
        zipcode postal postcode code pin otp commit hash block blk offset size length len port
        process thread job task session request trace span key index page error errno status seq user
        timestamp epoch duration latency elapsed sequence nonce population total count amount price usd eur mrn nano
        unix starttime tax vat
        loan application file docket mls node imei imsi iccid ean upc gtin asin ein duns npi nmls
        bestellung rechnung kunde auftrag commande facture pedido factura ordine fattura
    """,
    "VERSION": """
        version versions ver v release releases firmware driver kernel sdk build section sections chapter paragraph
        clause article oid rev revision upgrade upgraded
    """,
    "UNIT": """
        rows row entries entry bytes byte ms us ns s sec secs seconds minutes hours days kb mb gb tb kib mib gib items
        records files lines requests messages events times users pages blocks objects keys tokens ops
    """,
    "FILLER": """
        at on is was be that that's which this bank personal private current are no nr nº n° the my me us our his her
        their your to of via by under with and or for it it's you him them now new directly please if anytime am
        unter ist an der
        die das mein meine au le la est mon ma sur al el es mi por en il mio è op het mijn på är na moje по на это мой
    """,
}
# Labels that never make a number one of the kinds, but only keep it from being one, or stand between.
SILENT = frozenset({"ID", "VERSION", "UNIT", "FILLER"})
# Parts of words, for languages that join them or do not part them: Telefonnummer, мобильному, 电话号码是.
PARTS_OF_PHONE = """phone telefon telefoon telefono teléfono téléphon rufnummer mobilnummer mobilfunk handynummer
    faxnummer телефон звон 电话 手机 電話 携帯 手機 传真 전화 휴대폰 연락처 โทร""".split()
