"""Quantities with UCUM units, money, numbers, yes and no."""

from __future__ import annotations

import pytest

from tests.unit.nlu.value_tables import Row, a_finder, found, read, rows

pytestmark = pytest.mark.unit

QUANTITIES = {
    "en": """
five and a half miles | 5.5[mi_i]
convert ten kilometers to miles | 10km
10 km | 10km
two litres | 2L
half a litre of milk | 0.5L
a pint | 1[pt_us] 1[pt_br]
three gallons | 3[gal_us] 3[gal_br]
two cups of flour | 2[cup_us]
one and a half cups | 1.5[cup_us]
a pound and a half | 1.5[lb_av]
twelve ounces | 12[oz_av]
200 grams | 200g
70 kg | 70kg
six foot two | 74[in_i]
five feet ten inches | 70[in_i]
6 ft | 6[ft_i]
twenty degrees | 20Cel 20[degF]
72 degrees fahrenheit | 72[degF]
minus five degrees celsius | -5Cel
five degrees below zero | -5Cel -5[degF]
20 °C | 20Cel
sixty miles per hour | 60[mi_i]/h
100 km/h | 100km/h
fifty percent | 50%
50% | 50%
ten square meters | 10m2
three acres | 3[acr_us]
five gigabytes | 5GBy
ninety minutes | 90min
three quarters of a mile | 0.75[mi_i]
1,500 meters | 1500m
two point five centimeters | 2.5cm
3/4 cup | 0.75[cup_us]
-40 f | -40[degF]
ten apples | -
the miles | -
kitchen | -
seven thirty | -
""",
    "de": """
zwei Liter | 2L
fünfeinhalb meilen | 5.5[mi_i]
zehn kilometer | 10km
10 km | 10km
einen halben liter milch | 0.5L
ein viertel liter | 0.25L
drei viertel liter | 0.75L
anderthalb liter | 1.5L
zwei tassen mehl | 2[cup_us]
drei esslöffel | 3[tbs_us]
200 gramm | 200g
70 kg | 70kg
ein pfund | 1[lb_av]
zwei kilo | 2kg
ein meter achtzig zentimeter | 180cm
einen meter | 1m
zwanzig grad | 20Cel 20[degF]
72 grad fahrenheit | 72[degF]
minus fünf grad | -5Cel -5[degF]
fünf grad unter null | -5Cel -5[degF]
20 °C | 20Cel
120 kilometer pro stunde | 120km/h
120 km/h | 120km/h
fünfzig prozent | 50%
50 % | 50%
zehn quadratmeter | 10m2
drei hektar | 3har
fünf gigabyte | 5GBy
neunzig minuten | 90min
1.500 meter | 1500m
zwei komma fünf zentimeter | 2.5cm
zehn äpfel | -
die meilen | -
halb acht | -
küche | -
""",
    "es": """
dos litros | 2L
cinco kilómetros y medio | 5.5km
cinco millas | 5[mi_i]
10 km | 10km
medio litro de leche | 0.5L
un cuarto de litro | 0.25L
tres cuartos de litro | 0.75L
litro y medio | -
un litro y medio | 1.5L
dos tazas de harina | 2[cup_us]
tres cucharadas | 3[tbs_us]
200 gramos | 200g
70 kg | 70kg
dos kilos | 2kg
dos kilos y medio | 2.5kg
un metro | 1m
un metro y ochenta centímetros | 180cm
veinte grados | 20Cel 20[degF]
72 grados fahrenheit | 72[degF]
menos cinco grados | -5Cel -5[degF]
cinco grados bajo cero | -5Cel -5[degF]
20 °C | 20Cel
ciento veinte kilómetros por hora | 120km/h
120 km/h | 120km/h
cincuenta por ciento | 50%
50 % | 50%
diez metros cuadrados | 10m2
tres hectáreas | 3har
cinco gigas | 5GBy
noventa minutos | 90min
1.500 metros | 1500m
dos coma cinco centímetros | 2.5cm
diez manzanas | -
las millas | -
la cocina | -
""",
    "fr": """
deux litres | 2L
cinq kilomètres et demi | 5.5km
cinq miles | 5[mi_i]
10 km | 10km
un demi-litre de lait | 0.5L
un quart de litre | 0.25L
trois quarts de litre | 0.75L
trois quarts d'heure | 0.75h
un litre et demi | 1.5L
deux tasses de farine | 2[cup_us]
trois cuillères à soupe | 3[tbs_us]
200 grammes | 200g
70 kg | 70kg
deux kilos | 2kg
deux kilos et demi | 2.5kg
un mètre | 1m
un mètre quatre-vingts centimètres | 180cm
vingt degrés | 20Cel 20[degF]
72 degrés fahrenheit | 72[degF]
moins cinq degrés | -5Cel -5[degF]
cinq degrés au-dessous de zéro | -5Cel -5[degF]
20 °C | 20Cel
cent vingt kilomètres à l'heure | 120km/h
120 km/h | 120km/h
cinquante pour cent | 50%
50 % | 50%
dix mètres carrés | 10m2
trois hectares | 3har
cinq go | 5GBy
quatre-vingt-dix minutes | 90min
deux virgule cinq centimètres | 2.5cm
dix pommes | -
les kilomètres | -
la cuisine | -
""",
    "it": """
due litri | 2L
cinque chilometri e mezzo | 5.5km
cinque miglia | 5[mi_i]
10 km | 10km
mezzo litro di latte | 0.5L
un quarto di litro | 0.25L
tre quarti di litro | 0.75L
un litro e mezzo | 1.5L
due tazze di farina | 2[cup_us]
tre cucchiai | 3[tbs_us]
due etti di prosciutto | 2hg
200 grammi | 200g
70 kg | 70kg
due chili | 2kg
due chili e mezzo | 2.5kg
un metro | 1m
un metro e ottanta centimetri | 180cm
venti gradi | 20Cel 20[degF]
72 gradi fahrenheit | 72[degF]
meno cinque gradi | -5Cel -5[degF]
cinque gradi sotto zero | -5Cel -5[degF]
20 °C | 20Cel
centoventi chilometri all'ora | 120km/h
120 km/h | 120km/h
cinquanta per cento | 50%
50 % | 50%
dieci metri quadrati | 10m2
tre ettari | 3har
cinque giga | 5GBy
novanta minuti | 90min
1.500 metri | 1500m
due virgola cinque centimetri | 2.5cm
dieci mele | -
le miglia | -
la cucina | -
""",
}
MONEY = {
    "en": """
five dollars | 5USD
$5 | 5USD
$5.50 | 5.50USD
five dollars and twenty cents | 5.2USD
five dollars fifty | 5.5USD
twenty bucks | 20USD
3 euros | 3EUR
€20 | 20EUR
ten pounds | 10GBP
fifty pence | 0.5GBP
a million dollars | 1000000USD
five and a half million euros | 5500000EUR
1,000 yen | 1000JPY
ten apples | -
dollars | -
""",
    "de": """
drei euro fünfzig | 3.5EUR
3,50 € | 3.50EUR
drei euro | 3EUR
fünf euro und zwanzig cent | 5.2EUR
fünfzig cent | 0.5EUR 0.5USD
zehn franken | 10CHF
zwanzig dollar | 20USD
eine million euro | 1000000EUR
1.000 euro | 1000EUR
ein halber euro | 0.5EUR
zehn äpfel | -
""",
    "es": """
tres euros con cincuenta | 3.5EUR
3,50 € | 3.50EUR
tres euros | 3EUR
cinco euros y veinte céntimos | 5.2EUR
cincuenta céntimos | 0.5EUR
veinte dólares | 20USD
cien pesos | 100MXN
un millón de euros | 1000000EUR
dos millones y medio de euros | 2500000EUR
diez libras | 10GBP
cinco mil euros | 5000EUR
diez manzanas | -
""",
    "fr": """
trois euros cinquante | 3.5EUR
3,50 € | 3.50EUR
trois euros | 3EUR
cinq euros et vingt centimes | 5.2EUR
cinquante centimes | 0.5EUR
vingt dollars | 20USD
dix francs | 10CHF
mille euros | 1000EUR
un million d'euros | 1000000EUR
deux euros et demi | 2.5EUR
dix livres sterling | 10GBP
dix pommes | -
""",
    "it": """
tre euro e cinquanta | 3.5EUR
3,50 € | 3.50EUR
tre euro | 3EUR
cinque euro e venti centesimi | 5.2EUR
cinquanta centesimi | 0.5EUR
venti dollari | 20USD
dieci franchi | 10CHF
mille euro | 1000EUR
due euro e mezzo | 2.5EUR
dieci sterline | 10GBP
dieci mele | -
""",
}
NUMBERS = {
    "en": "track twelve | 12\nnumber 42 | 42\nthe third | 3\ntwo hundred and five | 205\nminus one | 1\nhello | -",
    "de": "nummer zwölf | 12\nzimmer 42 | 42\nzweihundertfünf | 205\ndas dritte | 3\nhallo | -",
    "es": "la pista doce | 12\nnúmero 42 | 42\ndoscientos cinco | 205\ndieciseis | 16\nhola | -",
    "fr": "la piste douze | 12\nnuméro 42 | 42\ndeux cent cinq | 205\nquatre-vingt-dix-neuf | 99\nbonjour | -",
    "it": "la traccia dodici | 12\nnumero 42 | 42\nduecentocinque | 205\nventitre | 23\nciao | -",
    "sv": "spår 42 | 42\nspår tolv | -",
}
TRUTHS = {
    "en": "yes | True\nyes please | True\nsure | True\nno | False\nno thanks | False\nnope | False\nmaybe | -",
    "de": "ja | True\nja bitte | True\nklar | True\nnein | False\nnein danke | False\nfalsch | False\nvielleicht | -",
    "es": "sí | True\nsi | True\nclaro que sí | True\nvale | True\nno | False\nno gracias | False\nquizás | -",
    "fr": "oui | True\nd'accord | True\nbien sûr | True\nnon | False\nnon merci | False\njamais | False\npeut-être | -",
    "it": "sì | True\ncerto | True\nva bene | True\nno | False\nno grazie | False\nper niente | False\nforse | -",
}


@pytest.mark.parametrize("row", rows(QUANTITIES), ids=lambda row: f"{row[0]}: {row[1]}")
def test_quantities_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("QUANTITY", language, words) == value


@pytest.mark.parametrize("row", rows(MONEY), ids=lambda row: f"{row[0]}: {row[1]}")
def test_money_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("MONEY", language, words) == value


@pytest.mark.parametrize("row", rows(NUMBERS), ids=lambda row: f"{row[0]}: {row[1]}")
def test_whole_numbers_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("INTEGER", language, words) == value


@pytest.mark.parametrize("row", rows(TRUTHS), ids=lambda row: f"{row[0]}: {row[1]}")
def test_yes_and_no(row: Row) -> None:
    language, words, value = row
    assert read("BOOLEAN", language, words) == value


@pytest.mark.parametrize(
    ("region", "words", "value"),
    [
        ("US", "seventy degrees", "70[degF] 70Cel"),
        ("US-CA", "seventy degrees", "70[degF] 70Cel"),
        ("DE", "seventy degrees", "70Cel 70[degF]"),
        ("GB", "two pints", "2[pt_br] 2[pt_us]"),
        ("US", "two pints", "2[pt_us] 2[pt_br]"),
    ],
)
def test_units_by_region(region: str, words: str, value: str) -> None:
    assert found("QUANTITY", "en", words, a_finder("en", region=region)) == value


@pytest.mark.parametrize(("region", "value"), [("US", "5USD"), ("CA", "5CAD"), ("AU", "5AUD"), ("", "5USD")])
def test_dollars_by_region(region: str, value: str) -> None:
    assert found("MONEY", "en", "five dollars", a_finder("en", region=region)) == value


def test_a_number_is_a_quantity_where_one_is_asked_for() -> None:
    assert read("QUANTITY", "en", "twenty") == "201"
    assert found("QUANTITY", "en", "twenty") == "-"


@pytest.mark.parametrize(
    ("language", "words", "value"),
    [
        ("en", "two and a half", "2.5"),
        ("en", "two point five million", "2500000"),
        ("de", "zweieinhalb", "2.5"),
        ("fr", "trois virgule cinq", "3.5"),
        ("es", "menos dos", "-2"),
        ("it", "tre quarti", "0.75"),
    ],
)
def test_decimal_numbers(language: str, words: str, value: str) -> None:
    assert read("DECIMAL", language, words) == value
