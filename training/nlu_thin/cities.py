"""Well-known places that have no time zone of their own name, written by us: zone -> names, in English unless marked.

`places.py` adds them to what CLDR and the tz database name. Region codes are ISO 3166-2 for states and provinces, else
the zone's country.
"""

from __future__ import annotations

from collections.abc import Mapping

CITIES: Mapping[str, str] = {
    "America/Los_Angeles": "los angels|la|l. a.|san francisco|san diego|san jose|sacramento|oakland|long beach|fresno|"
    "seattle|portland|las vegas|vegas|reno|spokane|hollywood|silicon valley|san fran|anaheim|berkeley|palo alto|"
    "beverly hills|tacoma|west coast|pacific coast",
    "America/Denver": "salt lake city|albuquerque|santa fe|colorado springs|aspen|cheyenne|billings|el paso",
    "America/Phoenix": "tucson|scottsdale|flagstaff|mesa",
    "America/Chicago": "dallas|houston|austin|san antonio|fort worth|minneapolis|saint paul|saint louis|st louis|"
    "milwaukee|kansas city|oklahoma city|tulsa|memphis|nashville|new orleans|omaha|des moines|little rock|"
    "mobile alabama|"
    "madison|wichita|baton rouge|birmingham alabama|fargo|sioux falls|tuscaloosa",
    "America/New_York": "new york city|nyc|n. y. c.|n. y.|manhattan|brooklyn|queens|the bronx|boston|washington|"
    "washington dc|washington d. c.|dc|d. c.|philadelphia|philly|miami|atlanta|orlando|tampa|jacksonville|charlotte|"
    "raleigh|pittsburgh|cleveland|columbus|cincinnati|baltimore|buffalo|richmond|providence|hartford|charleston|"
    "savannah|newark|albany|ann arbor|fort lauderdale|key west|knoxville|east coast|rochester|bangor",
    "America/Detroit": "motor city",
    "America/Anchorage": "fairbanks",
    "Pacific/Honolulu": "waikiki|maui|oahu",
    "America/Toronto": "ottawa|montreal|montréal|quebec city|québec|hamilton ontario|mississauga",
    "America/Vancouver": "victoria british columbia|whistler",
    "America/Edmonton": "calgary|banff",
    "America/Mexico_City": "guadalajara|puebla|acapulco",
    "America/Sao_Paulo": "rio de janeiro|rio|brasilia|brasília|são paulo|sao paulo|salvador da bahia|porto alegre",
    "America/Argentina/Buenos_Aires": "rosario",
    "America/Bogota": "medellin|medellín|cartagena|cali",
    "America/Lima": "cusco|machu picchu",
    "Europe/London": "manchester|liverpool|birmingham|leeds|edinburgh|glasgow|cardiff|oxford|cambridge|bristol|"
    "newcastle|sheffield|nottingham|brighton|bath",
    "Europe/Dublin": "cork|galway|limerick",
    "Europe/Berlin": "munich|münchen|muenchen|hamburg|cologne|köln|koeln|frankfurt|stuttgart|düsseldorf|duesseldorf|"
    "dusseldorf|dortmund|essen|leipzig|dresden|hanover|hannover|nuremberg|nürnberg|bremen|bonn|heidelberg|"
    "monaco di baviera|"
    "francfort|hambourg|hamburgo|amburgo|colonia|cologne|múnich|francoforte|berlino|berlín",
    "Europe/Vienna": "salzburg|graz|innsbruck|linz|klagenfurt",
    "Europe/Zurich": "geneva|genf|genève|ginebra|ginevra|basel|bern|berne|berna|lausanne|lucerne|luzern|zürich|"
    "lugano|davos",
    "Europe/Paris": "marseille|lyon|toulouse|nice france|bordeaux|lille|strasbourg|straßburg|nantes|cannes|versailles",
    "Europe/Madrid": "barcelona|valencia|seville|sevilla|malaga|málaga|bilbao|granada|mallorca|majorca|zaragoza|ibiza",
    "Europe/Rome": "milan|mailand|milano|naples|neapel|napoli|turin|torino|florence|florenz|firenze|venice|venedig|"
    "venezia|bologna|genoa|genua|genova|palermo|verona|pisa|sicily|sardinia",
    "Europe/Amsterdam": "rotterdam|the hague|den haag|utrecht|eindhoven",
    "Europe/Brussels": "antwerp|antwerpen|ghent|bruges",
    "Europe/Lisbon": "porto|faro",
    "Europe/Warsaw": "krakow|krakau|cracow|kraków|gdansk|danzig|wroclaw|breslau|lodz|poznan",
    "Europe/Prague": "brno|pilsen",
    "Europe/Athens": "thessaloniki|crete|corfu|rhodes",
    "Europe/Stockholm": "gothenburg|göteborg|malmö|malmo|uppsala",
    "Europe/Oslo": "bergen|trondheim|stavanger",
    "Europe/Copenhagen": "aarhus|odense",
    "Europe/Helsinki": "tampere|turku|espoo",
    "Europe/Moscow": "saint petersburg|st petersburg|sankt petersburg|saint-pétersbourg|sochi|kazan",
    "Europe/Kyiv": "kiev|kiew|odessa|odesa|lviv|lemberg|kharkiv",
    "Europe/Istanbul": "ankara|izmir|antalya|constantinople",
    "Atlantic/Canary": "canary islands|kanarische inseln|tenerife|teneriffa|gran canaria|lanzarote|fuerteventura",
    "Asia/Tokyo": "osaka|kyoto|yokohama|nagoya|sapporo|hiroshima|fukuoka|kobe|okinawa|nara",
    "Asia/Shanghai": "beijing|peking|pékin|pekín|pechino|guangzhou|canton|shenzhen|chengdu|wuhan|nanjing|tianjin|xian|"
    "hangzhou|chongqing|suzhou|harbin",
    "Asia/Hong_Kong": "hong kong city|kowloon",
    "Asia/Taipei": "kaohsiung|taichung",
    "Asia/Seoul": "busan|incheon|daegu",
    "Asia/Kolkata": "mumbai|bombay|delhi|new delhi|bangalore|bengaluru|chennai|madras|hyderabad|kolkata|calcutta|"
    "kalkutta|"
    "pune|ahmedabad|jaipur|goa|lucknow|kochi|agra|varanasi|surat|nagpur|indore",
    "Asia/Karachi": "lahore|islamabad|rawalpindi|faisalabad|peshawar",
    "Asia/Dhaka": "chittagong",
    "Asia/Dubai": "abu dhabi|sharjah",
    "Asia/Riyadh": "jeddah|mecca|mekka|medina|la mecque",
    "Asia/Jerusalem": "tel aviv|haifa",
    "Asia/Ho_Chi_Minh": "saigon|ho chi minh|hanoi|da nang",
    "Asia/Bangkok": "phuket|chiang mai|pattaya",
    "Asia/Makassar": "bali|denpasar",
    "Asia/Jakarta": "bandung|surabaya",
    "Asia/Manila": "quezon city|cebu|davao",
    "Asia/Kuala_Lumpur": "penang|k. l.",
    "Asia/Tehran": "isfahan|shiraz|mashhad",
    "Australia/Sydney": "canberra|newcastle australia|wollongong",
    "Australia/Brisbane": "gold coast|cairns|townsville",
    "Australia/Melbourne": "geelong",
    "Pacific/Auckland": "wellington|christchurch|queenstown|dunedin",
    "Africa/Johannesburg": "cape town|kapstadt|le cap|ciudad del cabo|città del capo|durban|pretoria|soweto",
    "Africa/Cairo": "alexandria|giza|luxor",
    "Africa/Lagos": "abuja|kano|ibadan",
    "Africa/Nairobi": "mombasa",
    "Africa/Casablanca": "marrakech|marrakesch|rabat|fes|tangier",
    "Africa/Dar_es_Salaam": "zanzibar|dodoma",
}

US_STATES: Mapping[str, str] = {
    "America/New_York": "CT connecticut|DE delaware|FL florida|GA georgia|ME maine|MD maryland|MA massachusetts|"
    "NH new hampshire|NJ new jersey|NY new york state|NY upstate new york|NC north carolina|OH ohio|PA pennsylvania|"
    "RI rhode island|SC south carolina|VT vermont|VA virginia|WV west virginia|DC district of columbia",
    "America/Detroit": "MI michigan",
    "America/Indiana/Indianapolis": "IN indiana",
    "America/Kentucky/Louisville": "KY kentucky",
    "America/Chicago": "AL alabama|AR arkansas|IL illinois|IA iowa|KS kansas|LA louisiana|MN minnesota|MS mississippi|"
    "MO missouri|NE nebraska|ND north dakota|OK oklahoma|SD south dakota|TN tennessee|TX texas|WI wisconsin",
    "America/Denver": "CO colorado|MT montana|NM new mexico|UT utah|WY wyoming",
    "America/Boise": "ID idaho",
    "America/Phoenix": "AZ arizona",
    "America/Los_Angeles": "CA california|CA southern california|CA northern california|NV nevada|OR oregon|"
    "WA washington state",
    "America/Anchorage": "AK alaska",
    "Pacific/Honolulu": "HI hawaii|HI hawai",
}

PROVINCES: Mapping[str, str] = {
    "America/Toronto": "CA-ON ontario|CA-QC quebec",
    "America/Vancouver": "CA-BC british columbia",
    "America/Edmonton": "CA-AB alberta",
    "America/Winnipeg": "CA-MB manitoba",
    "America/Regina": "CA-SK saskatchewan",
    "America/Halifax": "CA-NS nova scotia|CA-NB new brunswick|CA-PE prince edward island",
    "America/St_Johns": "CA-NL newfoundland",
    "Australia/Sydney": "AU-NSW new south wales",
    "Australia/Melbourne": "AU-VIC victoria",
    "Australia/Brisbane": "AU-QLD queensland",
    "Australia/Perth": "AU-WA western australia",
    "Australia/Adelaide": "AU-SA south australia",
    "Australia/Hobart": "AU-TAS tasmania",
    "Australia/Darwin": "AU-NT northern territory",
    "Europe/London": "GB-ENG england|GB-ENG inghilterra|GB-ENG inglaterra|GB-ENG angleterre|GB-SCT scotland|"
    "GB-SCT schottland|GB-WLS wales|GB-NIR northern ireland",
    "Europe/Berlin": "DE-BY bavaria|DE-BY bayern",
    "Europe/Vienna": "AT-7 tyrol|AT-7 tirol",
    "Europe/Belgrade": "XK kosovo",
}

COUNTRIES: Mapping[str, str] = {
    "US": "america|the united states|the united states of america|united states of america|usa|u. s. a.|the states|us|"
    "u. s.|amerika|amérique|états-unis d'amérique|estados unidos|ee uu|stati uniti d'america",
    "GB": "uk|the uk|u. k.|britain|great britain|the united kingdom|großbritannien|grande-bretagne|gran bretaña|"
    "gran bretagna",
    "NL": "holland|the netherlands",
    "AE": "the emirates|u. a. e.|uae|emirates",
    "CZ": "czech republic|the czech republic|tschechische republik",
    "KR": "korea",
    "PH": "the philippines",
    "RU": "the russian federation",
    "ZW": "simbabwe",
    "TR": "turkey|türkei",
    "CH": "the swiss",
    "CI": "ivory coast",
    "MM": "burma",
    "BS": "the bahamas",
    "VA": "the vatican|vatican",
}

MAIN_ZONES: Mapping[str, str] = {
    "CN": "Asia/Shanghai", "DE": "Europe/Berlin", "NZ": "Pacific/Auckland", "ES": "Europe/Madrid",
    "PT": "Europe/Lisbon",
    "UA": "Europe/Kyiv", "UZ": "Asia/Tashkent", "MY": "Asia/Kuala_Lumpur", "CL": "America/Santiago",
    "EC": "America/Guayaquil", "MH": "Pacific/Majuro", "PF": "Pacific/Tahiti", "GL": "America/Nuuk",
    "AR": "America/Argentina/Buenos_Aires", "CY": "Asia/Nicosia", "PS": "Asia/Gaza", "VN": "Asia/Ho_Chi_Minh",
}  # fmt: skip
"""Countries whose capital's zone is what people mean although parts (islands, mostly) keep another time."""

PRINCIPAL_ZONES: Mapping[str, str] = {
    "US": "America/New_York|America/Chicago|America/Denver|America/Los_Angeles|America/Anchorage|Pacific/Honolulu",
    "CA": "America/Toronto|America/Vancouver|America/Edmonton|America/Winnipeg|America/Halifax|America/St_Johns",
    "AU": "Australia/Sydney|Australia/Perth|Australia/Brisbane|Australia/Adelaide|Australia/Darwin",
    "RU": "Europe/Moscow|Asia/Yekaterinburg|Asia/Novosibirsk|Asia/Vladivostok",
    "BR": "America/Sao_Paulo|America/Manaus|America/Rio_Branco",
    "MX": "America/Mexico_City|America/Tijuana|America/Cancun",
    "ID": "Asia/Jakarta|Asia/Makassar|Asia/Jayapura",
}
"""Countries of several times: the zones whose cities are offered, by how many people live there."""

ZONE_NAMES: Mapping[str, str] = {
    "America/New_York": "eastern|est|edt|eastern standard|eastern daylight|e. s. t.",
    "America/Chicago": "central|cst|cdt|central standard|central daylight|c. s. t.",
    "America/Denver": "mountain|mst|mdt|mountain standard|m. s. t.",
    "America/Los_Angeles": "pacific|pst|pdt|pacific standard|pacific daylight|p. s. t.",
    "America/Anchorage": "akst|akdt|alaska standard",
    "Pacific/Honolulu": "hst|hawaii standard",
    "America/Halifax": "atlantic|atlantic standard",
    "Etc/UTC": "utc|u. t. c.|gmt|g. m. t.|zulu|greenwich mean|greenwich|coordinated universal|weltzeit",
    "Europe/London": "bst|british summer",
    "Europe/Berlin": "cet|cest|c. e. t.|central european|mez|mesz|mitteleuropäische",
    "Asia/Kolkata": "ist|i. s. t.|indian standard|indian",
    "Asia/Tokyo": "jst|japan standard",
    "Australia/Sydney": "aest|aedt|australian eastern",
}

LOCAL_NAMES: Mapping[str, str] = {
    "Europe/Lisbon": "lissabon|lisbonne|lisboa|lisbona",
    "Europe/London": "londres|londra",
    "Europe/Moscow": "moskau|moscou|moscú|mosca",
}
