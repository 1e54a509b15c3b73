"""The places that the command model knows by name; used by `grammar.py` and `train.py`.

City names come from the zone names of the IANA time zone database (public domain), to which we add large cities,
countries and regions without a zone of their own, and pronunciations (ARPAbet) of words that cmudict does not have.
"""

from __future__ import annotations

import zoneinfo

# Asked for often: drawn ten times as often as the other places.
FAMOUS = (
    "tokyo", "london", "new york", "paris", "berlin", "sydney", "los angeles", "chicago", "singapore", "hong kong",
    "moscow", "beijing", "dubai", "san francisco", "mumbai", "toronto", "rome", "madrid", "delhi", "shanghai",
    "seattle", "boston", "melbourne", "vancouver", "vienna", "amsterdam", "zurich", "stockholm", "cairo", "istanbul",
)  # fmt: skip

CITIES = (
    "san francisco", "seattle", "boston", "washington", "washington d c", "houston", "dallas", "miami", "atlanta",
    "philadelphia", "san diego", "san jose", "las vegas", "portland", "austin", "new orleans", "salt lake city",
    "minneapolis", "saint louis", "kansas city", "pittsburgh", "cleveland", "baltimore", "charlotte", "nashville",
    "orlando", "tampa", "sacramento", "montreal", "ottawa", "calgary", "quebec", "munich", "hamburg", "frankfurt",
    "cologne", "stuttgart", "dusseldorf", "leipzig", "dresden", "geneva", "basel", "bern", "milan", "naples", "venice",
    "florence", "turin", "barcelona", "valencia", "seville", "lyon", "marseille", "nice", "bordeaux", "strasbourg",
    "manchester", "birmingham", "liverpool", "edinburgh", "glasgow", "cardiff", "cork", "rotterdam", "the hague",
    "antwerp", "gothenburg", "krakow", "gdansk", "saint petersburg", "beijing", "shenzhen", "guangzhou", "wuhan",
    "tianjin", "osaka", "kyoto", "yokohama", "nagoya", "sapporo", "hiroshima", "busan", "mumbai", "delhi", "new delhi",
    "bangalore", "chennai", "hyderabad", "islamabad", "lahore", "hanoi", "abu dhabi", "mecca", "tel aviv", "haifa",
    "alexandria", "cape town", "durban", "pretoria", "rio de janeiro", "rio", "brasilia", "salvador", "medellin",
    "cali", "guadalajara", "cancun", "canberra", "wellington", "christchurch", "bombay", "calcutta", "saigon", "lima",
    "quito", "santiago", "buenos aires", "bogota", "caracas", "havana", "casablanca", "tangier", "marrakesh",
)  # fmt: skip

COUNTRIES = (
    "japan", "china", "india", "germany", "france", "italy", "spain", "portugal", "england", "scotland", "ireland",
    "norway", "sweden", "finland", "denmark", "iceland", "poland", "austria", "switzerland", "belgium", "holland",
    "the netherlands", "greece", "turkey", "russia", "ukraine", "egypt", "kenya", "nigeria", "south africa", "morocco",
    "brazil", "argentina", "chile", "peru", "colombia", "mexico", "canada", "australia", "new zealand", "thailand",
    "vietnam", "korea", "south korea", "taiwan", "indonesia", "malaysia", "the philippines", "pakistan", "israel",
    "iran", "iraq", "saudi arabia", "hawaii", "california", "texas", "florida", "alaska", "arizona", "colorado",
    "hungary", "romania", "bulgaria", "serbia", "croatia", "cuba", "jamaica", "the united states", "america",
    "the united kingdom", "britain", "great britain",
)  # fmt: skip

PRONUNCIATIONS: dict[str, tuple[str, ...]] = {
    "abidjan": ("AE B IH JH AA N",),
    "accra": ("AH K R AA",),
    "almaty": ("AA L M AA T IY",),
    "andorra": ("AE N D AO R AH",),
    "antananarivo": ("AE N T AH N AE N AH R IY V OW",),
    "ashgabat": ("AA SH G AH B AA T",),
    "asuncion": ("AH S UW N S IY OW N",),
    "bamako": ("B AA M AH K OW",),
    "bangui": ("B AA NG G IY",),
    "banjul": ("B AA N JH UW L",),
    "bishkek": ("B IH SH K EH K",),
    "bissau": ("B IH S AW",),
    "brasilia": ("B R AH Z IH L Y AH", "B R AH Z IY L IY AH"),
    "bratislava": ("B R AA T IH S L AA V AH",),
    "bujumbura": ("B UW JH AH M B UH R AH",),
    "busan": ("B UW S AA N",),
    "chennai": ("CH EH N AY",),
    "chisinau": ("K IY SH IH N AW",),
    "conakry": ("K AA N AH K R IY",),
    "dakar": ("D AA K AA R", "D AE K AA R"),
    "dhaka": ("D AE K AH", "D AA K AH"),
    "djibouti": ("JH IH B UW T IY",),
    "dushanbe": ("D UW SH AA N B EY",),
    "dusseldorf": ("D UW S AH L D AO R F",),
    "ensenada": ("EH N S AH N AA D AH",),
    "fortaleza": ("F AO R T AH L EY Z AH",),
    "gaborone": ("G AE B AH R OW N IY",),
    "gdansk": ("G AH D AE N S K",),
    "gothenburg": ("G AA TH AH N B ER G",),
    "guadeloupe": ("G W AA D AH L UW P",),
    "guangzhou": ("G W AA NG JH OW",),
    "guayaquil": ("G W AY AH K IY L",),
    "harare": ("HH AH R AA R EY",),
    "honiara": ("HH OW N IY AA R AH",),
    "jakarta": ("JH AH K AA R T AH",),
    "juba": ("JH UW B AH",),
    "karachi": ("K ER AA CH IY", "K AH R AA CH IY"),
    "kathmandu": ("K AE T M AE N D UW", "K AA T M AA N D UW"),
    "khartoum": ("K AA R T UW M",),
    "kolkata": ("K OW L K AA T AH",),
    "krakow": ("K R AA K AW", "K R AE K AW"),
    "kyiv": ("K IY V", "K IY IH V"),
    "lahore": ("L AH HH AO R",),
    "libreville": ("L IY B R AH V IH L",),
    "lome": ("L OW M EY",),
    "luanda": ("L UW AE N D AH",),
    "lusaka": ("L UW S AA K AH",),
    "makassar": ("M AH K AE S ER",),
    "malabo": ("M AH L AA B OW",),
    "manaus": ("M AH N AW S",),
    "maputo": ("M AH P UW T OW",),
    "marrakesh": ("M EH R AH K EH SH",),
    "maseru": ("M AE Z ER UW",),
    "mbabane": ("AH M B AH B AA N",),
    "mogadishu": ("M OW G AH D IH SH UW",),
    "monrovia": ("M AH N R OW V IY AH",),
    "moresby": ("M AO R Z B IY",),
    "mumbai": ("M UH M B AY", "M AH M B AY"),
    "muscat": ("M AH S K AE T",),
    "nagoya": ("N AH G OY AH",),
    "nairobi": ("N AY R OW B IY",),
    "nauru": ("N AA UW R UW",),
    "niamey": ("N IY AA M EY",),
    "nicosia": ("N IH K AH S IY AH",),
    "nouakchott": ("N W AA K SH AA T",),
    "nuuk": ("N UW K",),
    "omsk": ("AO M S K",),
    "ouagadougou": ("W AA G AH D UW G UW",),
    "paramaribo": ("P EH R AH M EH R IH B OW",),
    "podgorica": ("P AA D G AO R IH T S AH",),
    "pyongyang": ("P Y AO NG Y AA NG",),
    "qatar": ("K AH T AA R", "K AA T AA R"),
    "recife": ("R EH S IY F IY",),
    "reykjavik": ("R EY K Y AH V IH K",),
    "riyadh": ("R IY AA D",),
    "samarkand": ("S AE M ER K AE N D",),
    "sapporo": ("S AH P AO R OW",),
    "shenzhen": ("SH EH N JH EH N",),
    "skopje": ("S K AO P Y EH",),
    "tallinn": ("T AE L IH N", "T AA L IH N"),
    "tangier": ("T AE N JH IH R",),
    "tashkent": ("T AE SH K EH N T",),
    "tbilisi": ("T AH B IH L IY S IY",),
    "tehran": ("T EH R AA N", "T EY R AA N"),
    "thimphu": ("TH IH M P UW", "T IH M P UW"),
    "tianjin": ("T Y EH N JH IH N",),
    "tirana": ("T IH R AA N AH",),
    "tomsk": ("T AO M S K",),
    "tripoli": ("T R IH P AH L IY",),
    "tunis": ("T UW N IH S",),
    "ulaanbaatar": ("UW L AA N B AA T AA R",),
    "vaduz": ("V AH D UW T S",),
    "vientiane": ("V Y EH N T Y AA N",),
    "vilnius": ("V IH L N IY AH S",),
    "windhoek": ("V IH N T HH UH K",),
    "wuhan": ("W UW HH AA N",),
    "yakutsk": ("Y AH K UW T S K",),
    "yangon": ("Y AE NG G OW N",),
    "yaounde": ("Y AA UW N D EY",),
    "yerevan": ("Y EH R AH V AA N",),
    "zagreb": ("Z AA G R EH B",),
}
"""Words that cmudict lacks, or has otherwise than people say them."""

_REGIONS = frozenset({"Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"})


def zone_cities() -> list[str]:
    """Spoken names of the zone cities: `America/Argentina/Buenos_Aires` -> "buenos aires"."""
    zones = (name.split("/") for name in zoneinfo.available_timezones())
    names = {parts[-1].replace("_", " ").replace("-", " ").lower() for parts in zones if parts[0] in _REGIONS}
    return sorted(name for name in names if all(word.isalpha() for word in name.split()))


def known_places(vocabulary: set[str]) -> list[str]:
    """All places whose every word has a pronunciation."""
    places = {*zone_cities(), *CITIES, *COUNTRIES, *FAMOUS}
    return sorted(place for place in places if all(word in vocabulary for word in place.split()))
