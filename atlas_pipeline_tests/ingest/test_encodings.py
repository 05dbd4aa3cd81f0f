"""Encodings that the scaffold finds in the first bytes of a file: a table of them, each with text of its language."""

import pytest

from atlas_pipeline.ingest.readers.csv_sniffer import guess_encoding

TABLE: list[tuple[str, str]] = [
    ("cp1253", "Όνομα;Πόλη;Τιμή\nΓιώργος Παπαδόπουλος;Αθήνα;12,5\nΜαρία Νικολάου;Θεσσαλονίκη;7\nΕλένη;Πάτρα;9\n"),
    (
        "cp1254",
        "Adı;Şehir;Tutar\nAyşe Yılmaz;İstanbul;12\nMehmet Öztürk;Eskişehir;7\nIşıl Şahin;Diyarbakır;3\n",
    ),
    ("koi8-r", "Имя;Город;Сумма\nИван Петров;Москва;12\nМария Сидорова;Казань;7\nОльга;Самара;5\n"),
    ("cp1251", "Имя;Город;Сумма\nИван Петров;Москва;12\nМария Сидорова;Казань;7\nОльга;Самара;5\n"),
    ("shift_jis", "名前,住所,金額\n山田太郎,東京都千代田区,1200\n鈴木花子,大阪市北区,700\nサトウ,ナゴヤ,3\n"),
    ("euc_jp", "名前,住所,金額\n山田太郎,東京都千代田区,1200\n鈴木花子,大阪市北区,700\nさとう,なごや,3\n"),
    ("gb18030", "姓名,城市,金额\n张伟,北京市,1200\n王芳,上海市浦东新区,700\n李娜,广州市,900\n"),
    ("big5", "姓名,城市,金額\n陳大文,台北市,1200\n林美麗,高雄市左營區,700\n王小明,台中市,900\n"),
    ("euc-kr", "이름,도시,금액\n김철수,서울특별시,1200\n이영희,부산광역시,700\n박민수,대구,900\n"),
    ("utf-16-le", "Name;Ort\nMüller;Köln\nSchäfer;Bonn\n"),
    ("utf-16-be", "Name;Ort\nMüller;Köln\nSchäfer;Bonn\n"),
    ("cp1252", "Name;Ort\nMüller;Köln\nSchäfer;Düsseldorf\nWeiß;Görlitz\n"),
    ("cp1252", "Prénom;Ville\nHélène;Orléans\nFrançois;Besançon\nZoë;Nîmes\n"),
    ("cp1250", "Imię;Miasto\nŁukasz Wiśniewski;Łódź\nMałgorzata Dąbrowska;Gdańsk\nŻaneta;Kraków\n"),
    ("cp1250", "Jméno;Město\nJiří Dvořák;Plzeň\nŽofie Nováková;České Budějovice\nŠtěpán;Třebíč\n"),
    ("cp1255", "שם;עיר\nמשה כהן;ירושלים\nשרה לוי;חיפה\nדוד;תל אביב\n"),
    ("cp1256", "الاسم;المدينة\nمحمد علي;القاهرة\nفاطمة حسن;الإسكندرية\nأحمد;الرياض\n"),
    ("cp874", "ชื่อ;เมือง\nสมชาย ใจดี;กรุงเทพ\nสมหญิง;เชียงใหม่\n"),
    ("cp850", "Name;Ort\nMüller;Köln\nSchäfer;Düsseldorf\n"),
    ("mac_roman", "Name;Ort\nMüller;Köln\nSchäfer;Düsseldorf\n"),
    ("cp1252", "Nachname;Straße\nMüller;Hauptstraße 1\n"),
    ("cp1252", "Nombre;Ciudad\nMuñoz;Málaga\nPeña;Cádiz\n"),
    ("cp1252", "Plat;Prix\ncrème brûlée;7\npâté;8\n"),
    ("cp1250", "Imię;Miasto\nAnna;Gdańsk\nJan;Poznań\n"),
    ("cp1257", "Vārds;Pilsēta\nJānis Bērziņš;Rīga\nŽanis Kļaviņš;Jelgava\n"),
]


@pytest.mark.parametrize(("encoding", "text"), TABLE, ids=[f"{i}-{name}" for i, (name, _) in enumerate(TABLE)])
def test_the_encoding_that_is_found_reads_the_text(encoding: str, text: str) -> None:
    data = text.encode(encoding)
    found = guess_encoding(data)
    assert found is not None
    assert data.decode(found) == text


@pytest.mark.parametrize("text", ["a;b\n1;2\n", "Müller;Köln\n", "名前,住所\n"])
def test_utf8_is_not_guessed_otherwise(text: str) -> None:
    assert guess_encoding(text.encode()) is None
