"""Writes `services/asr/spoken_forms/places.yaml`: `python -m training.asr_languages.places`.

Names of cities and countries in five languages from CLDR (through Babel; Unicode-3.0 licence), and our own list of
large cities that have no time zone of their own. The famous ones are asked for most often.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from babel import Locale

OUT = Path("services/asr/spoken_forms/places.yaml")

_FAMOUS_ZONES = (
    "Europe/London Europe/Paris Europe/Berlin Europe/Rome Europe/Madrid Europe/Vienna Europe/Zurich Europe/Amsterdam "
    "Europe/Brussels Europe/Lisbon Europe/Athens Europe/Moscow Europe/Stockholm Europe/Istanbul Africa/Cairo "
    "America/New_York America/Los_Angeles America/Chicago America/Toronto America/Vancouver America/Mexico_City "
    "America/Sao_Paulo Asia/Tokyo Asia/Hong_Kong Asia/Shanghai Asia/Singapore Asia/Dubai Asia/Seoul Asia/Bangkok "
    "Australia/Sydney Australia/Melbourne"
).split()
_ZONES = (
    "Africa/Accra Africa/Addis_Ababa Africa/Algiers Africa/Casablanca Africa/Dakar Africa/Johannesburg Africa/Lagos "
    "Africa/Nairobi Africa/Tripoli Africa/Tunis America/Anchorage America/Bogota America/Buenos_Aires America/Caracas "
    "America/Denver America/Detroit America/Havana America/La_Paz America/Lima America/Montevideo America/Panama "
    "America/Phoenix America/Puerto_Rico America/Santiago Asia/Almaty Asia/Amman Asia/Baghdad Asia/Baku Asia/Beirut "
    "Asia/Calcutta Asia/Damascus Asia/Dhaka Asia/Jakarta Asia/Jerusalem Asia/Kabul Asia/Karachi Asia/Katmandu "
    "Asia/Kuala_Lumpur Asia/Manila Asia/Riyadh Asia/Taipei Asia/Tehran Atlantic/Azores Atlantic/Reykjavik "
    "Australia/Adelaide Australia/Brisbane Australia/Perth Europe/Belgrade Europe/Bratislava Europe/Bucharest "
    "Europe/Budapest Europe/Copenhagen Europe/Dublin Europe/Helsinki Europe/Kiev Europe/Luxembourg Europe/Minsk "
    "Europe/Oslo Europe/Prague Europe/Riga Europe/Sarajevo Europe/Sofia Europe/Tallinn Europe/Vilnius Europe/Warsaw "
    "Europe/Zagreb Pacific/Auckland Pacific/Honolulu"
).split()
_TERRITORIES = (
    "AF AL DZ AR AM AU AT BD BE BO BR BG CA CL CN CO CR HR CU CY DK EC EG EE ET FI FR GE DE GH GR HU IS IN ID IR IQ IE "
    "IL IT JM JP JO KE LV LB LY LT MY MT MX MA NP NL NZ NG NO PK PY PE PH PL PT RO RU SA SN RS SK SI ZA KR ES SE CH SY "
    "TW TH TN TR UA AE GB US UY VE VN"
).split()
_OWN_FAMOUS = {
    "en": "san francisco, beijing, mumbai, delhi, munich, washington, boston, seattle",
    "de": "san francisco, peking, mumbai, delhi, münchen, hamburg, köln, frankfurt, washington, mailand, barcelona",
    "es": "san francisco, pekín, bombay, delhi, múnich, washington, barcelona, sevilla, valencia, milán, miami",
    "fr": "san francisco, pékin, bombay, delhi, munich, washington, lyon, marseille, bruxelles, genève, montréal",
    "it": "san francisco, pechino, mumbai, delhi, monaco di baviera, washington, milano, napoli, torino, barcellona",
}
_OWN = {
    "en": "houston, dallas, miami, atlanta, las vegas, philadelphia, hamburg, frankfurt, cologne, milan, venice, "
    "naples, florence, barcelona, seville, valencia, lyon, marseille, manchester, edinburgh, glasgow, geneva, "
    "montreal, osaka, kyoto, rio de janeiro, cape town, wellington, saint petersburg, krakow, california, "
    "texas, florida, hawaii",
    "de": "houston, dallas, miami, atlanta, las vegas, stuttgart, düsseldorf, leipzig, dresden, hannover, bremen, "
    "nürnberg, salzburg, graz, innsbruck, bern, basel, genf, venedig, neapel, florenz, turin, sevilla, valencia, lyon, "
    "marseille, nizza, straßburg, rotterdam, manchester, edinburgh, montreal, osaka, kyoto, rio de janeiro, kapstadt, "
    "sankt petersburg, krakau, danzig, mallorca, kalifornien, texas, florida, hawaii",
    "es": "houston, dallas, boston, atlanta, las vegas, chicago, seattle, bilbao, zaragoza, málaga, granada, mallorca, "
    "guadalajara, monterrey, medellín, cartagena, rosario, córdoba, hamburgo, fráncfort, colonia, venecia, nápoles, "
    "florencia, turín, lyon, marsella, niza, ginebra, oporto, mánchester, edimburgo, montreal, osaka, kioto, "
    "río de janeiro, ciudad del cabo, san petersburgo, cracovia, california, texas, florida, hawái",
    "fr": "houston, dallas, miami, boston, atlanta, las vegas, seattle, toulouse, nice, bordeaux, lille, nantes, "
    "strasbourg, cannes, québec, ottawa, lausanne, berne, bâle, hambourg, francfort, cologne, milan, venise, naples, "
    "florence, turin, barcelone, séville, valence, porto, manchester, édimbourg, osaka, kyoto, rio de janeiro, le cap, "
    "saint-pétersbourg, cracovie, tahiti, la réunion, la guadeloupe, la martinique, californie, texas, floride, hawaï",
    "it": "houston, dallas, miami, boston, atlanta, las vegas, seattle, venezia, firenze, bologna, genova, palermo, "
    "verona, bari, catania, sicilia, sardegna, amburgo, francoforte, colonia, siviglia, valencia, lione, marsiglia, "
    "nizza, ginevra, berna, porto, manchester, edimburgo, montreal, osaka, kyoto, rio de janeiro, città del capo, "
    "san pietroburgo, cracovia, california, texas, florida, hawaii",
}
_CORRECTED = {"türkiye": "turkey", "tripoli (libye)": "tripoli", "czechia": "czech republic"}


def main() -> None:
    tables = {language: dict(_table(language)) for language in _OWN}
    head = "# Written by `python -m training.asr_languages.places`; do not edit.\n"
    OUT.write_text(head + yaml.safe_dump(tables, allow_unicode=True, width=118, sort_keys=False), encoding="utf-8")


def _table(language: str) -> Iterator[tuple[str, str]]:
    locale = Locale.parse(language)
    famous = [*(_city(locale, zone) for zone in _FAMOUS_ZONES), *_OWN_FAMOUS[language].split(", ")]
    cities = [*(_city(locale, zone) for zone in _ZONES), *_OWN[language].split(", ")]
    countries = [_spoken(locale.territories[code]) for code in _TERRITORIES]
    for name, entries in (("famous_place", famous), ("city", cities), ("country", countries)):
        yield name, ", ".join(dict.fromkeys(entries))


def _city(locale: Locale, zone: str) -> str:
    return _spoken(locale.time_zones.get(zone, {}).get("city") or zone.rpartition("/")[2].replace("_", " "))


def _spoken(name: str) -> str:
    name = name.lower().replace("’", "'").replace("\N{SOFT HYPHEN}", "").replace("&", "and")
    name = _CORRECTED.get(name, name)
    return re.sub(r"\(.*\)|\.", "", name).strip()


if __name__ == "__main__":
    main()
