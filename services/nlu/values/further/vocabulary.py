"""What CLDR and dateparser do not tell of a language: how people say a clock's hour, and small numbers in words.

`words.py` reads it. Phrases are parted by commas; a language that is not here has digits and calendars alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """Phrases of one language.

    Attributes:
        numbers: in words, from `first` on; then those that are told with their value ("dertig=30").
        before, after: what makes the hour beside it a clock's.
        half: "half" before a unit; before an hour too, where `half_to` (half nine is 8:30).
        soon, later: what makes a length of time a moment from now, before or after it.
        parts: phrase=part of the day, before or after a time.
        days: phrase=days from today, beside those of dateparser, and a part of the day that they name with it.
        weekdays: phrase=days after Monday, beside those of CLDR: other cases.
        units: phrase=seconds, beside those of CLDR: other cases, and units of one word ("kwartier").
        joins: "and" between two parts of one length of time.
        leads: what may stand before a value and belongs to it ("op vrijdag").
    """

    numbers: str = ""
    first: int = 1
    before: str = ""
    after: str = ""
    half: str = ""
    half_to: bool = False
    soon: str = ""
    later: str = ""
    parts: str = ""
    days: str = ""
    weekdays: str = ""
    units: str = ""
    joins: str = ""
    leads: str = ""


_DUTCH = Vocabulary(
    numbers="een,twee,drie,vier,vijf,zes,zeven,acht,negen,tien,elf,twaalf,dertien,veertien,vijftien,zestien,zeventien,"
    "achttien,negentien,twintig,één=1,dertig=30,veertig=40,vijfenveertig=45,vijftig=50,zestig=60,negentig=90,"
    "honderd=100,anderhalf=1.5,anderhalve=1.5,vijfentwintig=25",
    before="om,rond",
    after="uur",
    half="half,een half",
    half_to=True,
    soon="over,binnen",
    parts="'s ochtends=morning,'s morgens=morning,'s middags=afternoon,'s avonds=evening,'s nachts=night,"
    "ochtend=morning,middag=afternoon,avond=evening,s'ochtends=morning,s'morgens=morning,s'middags=afternoon,"
    "s'avonds=evening,s'nachts=night",
    days="vanavond=0 evening,vanochtend=0 morning,vanmiddag=0 afternoon,vannacht=0 night,morgenochtend=1 morning,"
    "morgenmiddag=1 afternoon,morgenavond=1 evening",
    joins="en",
    leads="op,voor,tot,vanaf,tegen,van,in,in de,deze,aanstaande,komende,op de",
    units="halfuur=1800,kwartier=900,uren=3600",
)
_DANISH = Vocabulary(
    numbers="en,to,tre,fire,fem,seks,syv,otte,ni,ti,elleve,tolv,tretten,fjorten,femten,seksten,sytten,atten,nitten,tyve,"
    "et=1,tredive=30,fyrre=40,femogfyrre=45,halvtreds=50,tres=60,halvfems=90,hundrede=100,halvanden=1.5,femogtyve=25",
    before="kl,kl .,klokken",
    half="en halv,halv",
    half_to=True,
    soon="om",
    parts="om morgenen=morning,om eftermiddagen=afternoon,om aftenen=evening,om natten=night,morgen=morning,"
    "formiddag=morning,eftermiddag=afternoon,aften=evening",
    days="i aften=0 evening,i eftermiddag=0 afternoon,i overmorgen=2,overmorgen=2,i morgen tidlig=1 morning,"
    "idag=0,imorgen=1",
    joins="og",
    leads="på,til,for,den,fra,i,nu på,førstkommende",
    units="kvarter=900",
)
_NORWEGIAN = Vocabulary(
    numbers="en,to,tre,fire,fem,seks,sju,åtte,ni,ti,elleve,tolv,tretten,fjorten,femten,seksten,sytten,atten,nitten,tjue,"
    "ett=1,et=1,syv=7,tretti=30,førti=40,førtifem=45,femti=50,seksti=60,nitti=90,hundre=100,halvannen=1.5,tjuefem=25",
    before="kl,kl .,klokken,klokka",
    half="en halv,halv",
    half_to=True,
    soon="om",
    parts="om morgenen=morning,om ettermiddagen=afternoon,om kvelden=evening,om natta=night,om natten=night,"
    "morgen=morning,formiddag=morning,ettermiddag=afternoon,kveld=evening",
    days="i kveld=0 evening,i ettermiddag=0 afternoon,i overmorgen=2,overmorgen=2,i morgen tidlig=1 morning,idag=0,"
    "imorgen=1,i morra=1,imorra=1,i morra tidlig=1 morning",
    joins="og",
    leads="på,til,for,den,fra,i,nu på,førstkommende",
    units="kvarter=900",
)
_INDONESIAN = Vocabulary(
    numbers="satu,dua,tiga,empat,lima,enam,tujuh,delapan,sembilan,sepuluh,sebelas,dua belas,tiga belas,empat belas,"
    "lima belas,enam belas,tujuh belas,delapan belas,sembilan belas,dua puluh=20,"
    "tiga puluh=30,empat puluh=40,empat puluh lima=45,lima puluh=50,enam puluh=60,"
    "seratus=100,dua puluh lima=25",
    before="jam,pukul",
    half="setengah",
    soon="dalam,dalam waktu",
    later="lagi",
    parts="pagi=morning,siang=noon,sore=afternoon,malam=night",
    days="lusa=2,malam ini=0 night,pagi ini=0 morning,siang ini=0 noon,sore ini=0 afternoon",
    joins="dan",
    leads="pada,untuk,hari,pada hari,untuk hari,dari,sampai",
    units="sejam=3600",
)
_TURKISH = Vocabulary(
    numbers="bir,iki,üç,dört,beş,altı,yedi,sekiz,dokuz,on,on bir,on iki,on üç,on dört,on beş,on altı,on yedi,on sekiz,"
    "on dokuz,yirmi,yirmi beş=25,otuz=30,kırk=40,kırk beş=45,elli=50,altmış=60,yüz=100",
    before="saat",
    half="yarım",
    later="sonra,içinde",
    parts="sabah=morning,öğleden sonra=afternoon,akşam=evening,gece=night",
    joins="ve",
    days="öbür gün=2,bu akşam=0 evening,bu gece=0 night,bu sabah=0 morning,bu öğleden sonra=0 afternoon",
)
_SERBIAN = Vocabulary(
    numbers="jedan,dva,tri,četiri,pet,šest,sedam,osam,devet,deset,jedanaest,dvanaest,trinaest,četrnaest,petnaest,šesnaest,"
    "sedamnaest,osamnaest,devetnaest,dvadeset,jedna=1,jednu=1,dve=2,trideset=30,četrdeset=40,pedeset=50,šezdeset=60,"
    "sto=100",
    before="u",
    after="sati,sata,časova,časa,h",
    half="pola",
    soon="za,kroz",
    parts="ujutru=morning,ujutro=morning,popodne=afternoon,po podne=afternoon,uveče=evening,noću=night",
    days="prekosutra=2,večeras=0 evening,jutros=0 morning",
    weekdays="sredu=2,subotu=5,nedelju=6",
    joins="i",
    leads="u,na,za,do,od,ove,ovu,ovaj",
    units="sata=3600,minute=60,minuti=60,sekunde=1,sekundi=1",
)
_LITHUANIAN = Vocabulary(
    after="val,val .,valandą,valandos,h",
    before="",
    half="pusė,pusę",
    soon="po,už",
    parts="ryto=morning,rytą=morning,vakaro=evening,vakare=evening,vakarą=evening",
    days="poryt=2,rytojaus=1,rytojui=1,šįvakar=0 evening",
    weekdays="pirmadienį=0,antradienį=1,trečiadienį=2,ketvirtadienį=3,penktadienį=4,šeštadienį=5,sekmadienį=6",
    joins="ir",
    leads="iki,nuo,šį,šią",
    units="valandų=3600,valandas=3600,valandą=3600,minučių=60,minutes=60,minutę=60,pusvalandį=1800",
)
_KAZAKH = Vocabulary(
    numbers="бір,екі,үш,төрт,бес,алты,жеті,сегіз,тоғыз,он,он бір,он екі,он бес=15,жиырма=20,отыз=30,қырық=40,елу=50",
    joins="және",
    before="сағат",
    later="кейін,соң",
    parts="таңғы=morning,кешкі=evening,түнгі=night",
)
_ARABIC = Vocabulary(
    numbers="واحد,اثنين,ثلاث,أربع,خمس,ست,سبع,ثمان,تسع,عشر,ثلاثة=3,أربعة=4,خمسة=5,ستة=6,سبعة=7,ثمانية=8,تسعة=9,"
    "عشرة=10,عشرين=20,عشرون=20,ثلاثين=30,ثلاثون=30,أربعين=40,خمسين=50",
    joins="و",
    leads="في,يوم,في يوم,من,إلى,هذا,ليوم",
    before="الساعة,في الساعة",
    soon="بعد,خلال",
    parts="صباحا=morning,صباحًا=morning,صباح=morning,الصباح=morning,مساء=evening,مساءً=evening,المساء=evening,ظهرا=noon",
    days="غدا=1,بعد غد=2,الليلة=0 night",
)
_JAPANESE = Vocabulary(
    after="時",
    half="半",
    soon="今から",
    later="後,後に,以内に",
    parts="午前=am,午後=pm,朝=morning,夕方=evening,夜=night,の朝=morning,の夜=night,の午前=am,の午後=pm",
    days="明後日=2,今夜=0 evening,あした=1,きょう=0,今晩=0 evening",
)
_CHINESE = Vocabulary(
    after="点,點,点钟,时",
    leads="在,到,这,这个,本",
    half="半",
    later="后,之后,以后,後",
    parts="早上=morning,上午=am,中午=noon,下午=afternoon,晚上=evening,凌晨=dawn,傍晚=evening",
    days="今晚=0 evening,明早=1 morning,明晚=1 evening",
    units="个小时=3600,個小時=3600,小時=3600,分鐘=60,秒钟=1,刻钟=900,个星期=604800",
)

VOCABULARIES: Mapping[str, Vocabulary] = {
    "ar": _ARABIC,
    "da": _DANISH,
    "id": _INDONESIAN,
    "ja": _JAPANESE,
    "kk": _KAZAKH,
    "lt": _LITHUANIAN,
    "nb": _NORWEGIAN,
    "nl": _DUTCH,
    "sr": _SERBIAN,
    "tr": _TURKISH,
    "zh": _CHINESE,
}
"""By primary subtag."""
