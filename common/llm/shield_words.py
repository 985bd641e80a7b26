"""Words that tell names of persons from what only looks like one. All in lower case."""

# With one of these right behind or among them, capitalised words name an organisation, a place or a rule.
ORGANISATIONS = frozenset(
    """act administration advisors agency association authority bancorp bank bankers board bureau capital cfpb code
    college commission committee company corp corporation council county department development district
    division enterprises express fannie fdic fed federal fha foundation fund ginnie group holdings hospital hud
    inc industries institute insurance insurers irs lender lenders llc llp lp ltd ministry mortgage national
    ncua occ ofac office partners partnership plc properties realty regulation reserve savings sba services
    servicing society software solutions standards state statute supreme systems technologies technology
    treasury trust union united university usa usda ventures""".split()
)

# Two words that would pass for a name.
AGENCIES = frozenset(
    {
        "fannie mae", "freddie mac", "ginnie mae", "farmer mac", "sallie mae", "wells fargo", "dun bradstreet",
        "dodd frank", "gramm leach", "sarbanes oxley", "glass steagall", "fair isaac", "hart scott", "morgan stanley",
        "goldman sachs", "merrill lynch", "charles schwab", "cloud run", "cloud trace",
    }
)  # fmt: skip

# Not a part of a name: one of these ends it. Lending terms, words of forms and letters, and what follows "I am".
NOT_NAMES = frozenset(
    """a ability about above accepting account accounts acquiring acquisition action address admin administrator
    advance adverse affected after afternoon again age aged agent agricultural alert alerts all also always
    american aml amortization amount amounts an analyst analyzing and annual another any anyone appendix
    applicant applicants application applying appraisal appraisals appraised appraiser approval approved apr are
    arm article artificial as asian asking asset assets assistant assuming at attached attorney available away
    back balance balloon bank bankruptcy based basel basis because before behind being below beneficial best
    between billing blank blanket block bond bonds born borrower borrowers borrowing both broke broker bsa
    building business but buyer buyers buying by calling can canadian cannot capacity capital cash catholic cdd
    cell certain certificate chairman chapter charge chattel checking chinese cip city claim clear client
    clients close closing closings cltv co coborrower code collateral commercial common community complete
    compliance condo condominium confident confirmation conforming confused construction consumer contact
    continuation conventional copy cosigner cost could counsel covenant covenants credit credited creditor
    creditors crop crops cure currently customer customers cutoff cyber data date day days dear debt debtor
    debtors declined deed default deferred delinquent denied deposit desk did director disabled division
    divorced do dob document documents does doing done down draft dscr dti due duplex dutch e each earlier early
    earnest earns ecoa effective eight either eligible email employed employee employer employment enclosed
    encumbered entity equipment equity escrow estate ethnic european evaluation even evening every everybody
    everyone everything evidence exempt existing expected exposure external fair family farmland fax fcra fee
    female few fico file filing final finance financial financing fine first five fixed fixtures flood floor for
    forbearance foreclosure form former four fraud from full funding further gap general given glad glba going
    good goods grantor great gross guarantee guarantor guarantors guaranty guide had happy hard has have hazard
    he head hello heloc help her here hereby hi his hispanic hmda holder home hope house houses housing how hr
    hybrid if ill im in income india indian individual individuals info information initial inquiry instructions
    instrument instruments insured intangible intangibles intelligence interest interested inventory investment
    investor is issue issuer it item items its japanese jewish joint jointly jumbo just know korean kyc land
    lapse last late latino lead learning lease left legal lender lenders lending less let letter liability libor
    lien like limit limited limits line list listed lives livestock loan loans local location lost lot ltv
    machine machinery madam maiden mail main major make male manager mandatory manufactured many margin marital
    married maturity maximum me means member mezzanine minimum minor mip miss missing mls mobile modification
    modular monthly months more morning mortgage mortgagee mortgagor mortgagors most mr mrs ms multifamily
    muslim must my na name named names nationality near needed net new newsletter next nine no nobody non
    nonconforming none noreply not note notes nothing notice notifications now number occupation occupied of
    officer ok okay on one only open operations or order original other our out over owes own owner owners
    ownership page paid paper part party past patriot payee payment payments payor pending per perfection person
    personal persons phone place placement plan please plus pmi policy position possible preferred president
    previous primary prime principal prior priority private problem proceeds program project proof properties
    property proposed protected purchase purpose qualified question questions race rate rates ratio raw re ready
    real reason receivable receivables recent record recourse refinance regards reinvestment rejected
    relationship religion rental renter repay reply report request required requirement requirements residence
    resident residential resides respa retired reverse review revolver revolving right rights risk role s sale
    sales same score scores second secondary secrecy section secured securities security see self seller sellers
    senior separate service services seven several sex shares she short sign signatory signature since single
    sir six small so social sofr sole some somebody someone something sorry spanish speaking spouse ssn staff
    standard standby statement status steps still stock stocks street subject subordinate subpart such
    sufficient sum support sure swingline table tangible tax taxes tbd team telephone ten tenant term terms test
    text thank thanks that the their them then there these they third this those three through tila time title
    to today tomorrow total town transaction treasuries trid true trustee truth two type types u ucc unable
    unavailable under undersigned underwriter underwriters underwriting unemployed unit unknown unless unsecured
    until up upset urgent us use using valid valuation value variable various vehicle vehicles vendor vendors
    verification very veteran vietnamese waiting was we webmaster week welcome well were what when where whether
    which who whom whose why with within without work working workout worried would writing wrong year years yes
    yesterday yet you your zip""".split()
)

# Parts of names that are words, months or places too: hidden as a part of the full name, and alone left as they are.
ALSO_WORDS = frozenset(
    """abel african against al alabama alaska although amber american among an angel april archer are arizona
    arkansas art as ash asian ask asked asks at attorney august austin baker bank banks barber barn bass bay be
    bean bear bell ben berry best between bill bin bird bishop black bloom blue bond booth boston bow branch
    brick bridge bright broad broke brook brooks brown buck bull burns bush butler by california camp can cannon
    captain carolina carpenter carter case cash castle chance chancellor chandler charity charles chase chester
    chief christian christmas church clay clerk cleveland cliff coin cole colorado columbia combs concerning
    connecticut cook cooper coral could court cross crystal curry da dakota dale dallas dash dawn day de dean
    december del delaware den denver der despite di diamond did do doctor does dollar don dos dr drew duke earl
    early east easter eaves el england english estate european fair faith fargo farmer february field fields
    finally finch fisher fleet flint flood florida flowers flynn forest fort foster fountain fox france frank
    franklin freeman french friday friend frost fuller gage gale garden gardener garland gates gay gene georgia
    german ginger glass glover go gold golden good governor grace grant gray green grey ground grove guy had
    hall hand hardy harmony harvest has hastings hawaii hawk hazel he heath heather heaven hedge hi high hill
    hills hindu holly home hood hope hopes house houston how however hunt hunter idaho if ii iii illinois in
    indiana iowa iris irish is island israel it italian iv ivory ivy jack jackson jade january jasmine jean
    jersey jewel jewish job jordan joy jr judge july june justice kansas kentucky key king kings kitty knight la
    lake lamb lance land lane later law lawn laws lawyer le lee leigh let lets liberty lilly lily lincoln line
    little london long lord louisiana love low lucky mac madison mae maine major manager manning march mark
    marks marsh marshal marshall maryland mason mass massachusetts masters maxwell may mayor me mead meadow
    meanwhile melody mercy merit merry mexican michigan might miles mill miller mills mines minnesota mint miss
    mississippi missouri mister misty monday money montana moon moore moreover moss mountain mr mrs ms muslim
    must mx my myers nebraska nevada new newport no noble norm north november oak october of officer ohio ok
    oklahoma olive oliver on once or orange oregon orlando pace page painter palm paris park parker parks
    patience patty paul paulson payne peace pearl penn pennsylvania penny per perry phoenix pierce pike pitt
    plains pleasant poland pond pool poole pope porter potter power powers precious president price pride prince
    prior professor prosper providence queen quick rain ray re read reading ready red reed reeves regarding rice
    rich ridge ring river rivers road rob rock rod rose roses rowan roy ruby russian rusty sage said sailor sale
    salem sandy saturday savage savannah sawyer says school scout sears see senator september serenity sharp
    shepherd shield shore short should sierra silver singer skip sky small smart smith snow so south sparks
    spears spencer spring springfield sr star steel stern stone storm street strong sue summer sun sunday sunny
    swan sweet swift tab tanner taylor tell temple tennessee terry texas therefore thorn though thursday tiger
    to todd told toward tower town townsend travel trinity troy true tucker tuesday turner up us usher utah vale
    van vermont versus via victor victory vine violet virginia vista von wade wales walker wall walls ward ware
    was washington water waters way we weaver webb webster wednesday wells were west what wheat wheeler when
    whether white why wild will winter winters wise wolf wood woods word world worth would wright wyoming yards
    yes york young""".split()
)

# Lower-case words that stand within names.
PARTICLES = frozenset("de la le van von der den del di da dos das bin ibn al el".split())
