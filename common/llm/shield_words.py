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

# Not a part of a name: one of these ends it. Lending terms, words of forms, letters and titles, what follows "I am",
# and words of regulations.
NOT_NAMES = frozenset(
    """a ability able about above accelerates accept accepting accepts access accompany account accounts accurate
    achieve acknowledges acquires acquiring acquisition across action active acts actual add added additional
    address addresses adds adequate adjust admin administers administrative administrator adopt advance adverse
    affect affected affidavit affiliate affiliates afford affords after afternoon afterwards again age aged agenda
    agent agents aggregate agree agreements agrees agricultural ahead alert alerts alimony all alleges allow allows
    alone along alphabetic already also alter alternative alternatives always american aml amortization amount
    amounts an analysis analyst analytics analyzing and anew annual another answer answers any anyone anywhere apart
    api apparent appeal appear appears appendices appendix applicant applicants application applies apply applying
    appraisal appraisals appraised appraiser approach appropriate approval approvals approve approved approves apps
    apr archive are area areas arise arithmetic arm around arranges arrive article artificial as asap ascertain
    asian asking aspect aspects assert assess assessed asset assets assign assignee assignees assigns assistant
    assume assumes assuming at attach attached attaches attempt attempts attorney attribute attributes audit auto
    automobile available avoid awards aware away back background backup bad balance balloon bank bankruptcy base
    based basel bases basic basis bears became because become becomes been before began begin begins behalf behavior
    behind being belief believe believes belong belongs below beneficial benefit benefits beside best between beyond
    billing birth bits blank blanket block bona bond bonds bonuses booklet born borrower borrowers borrowing both
    bought bounced boundaries boxes brackets branches breakdown brief bring brings broke broker brokers brought bsa
    bucket build builder building built bulletin bureaus business businesses but buy buyer buyers buying buys by
    calculate calculates calendar call caller calling calls came can canadian cannot capacity capital card cards
    care carries carry cases cash catalogue categories catholic cause causes cdd ceases cell census certain
    certificate certificates chairman change changes chapter character characteristic characteristics characters
    charge charges chart chat chatbot chattel cheap check checking checklist checks child children chinese choice
    choose chooses chose chosen chunks cip cited citizen city civil claim claims classes clause clear clicks client
    clients close closes closing closings cltv co coborrower code codes cohort cold collateral collect collector
    collects color column columns combine come comes commercial common communicate communicates community companies
    compare compares comparison complaint complaints complete completes complex compliance complies component
    components comprehensive computer concern concerns condo condominium condominiums conduct conducts confident
    confidential confirm confirmation conforming conforms confused consecutive consent consider considers consistent
    constant constitute constitutes construction consumer consumers contact contacts contain contains content
    contents context continuation continue continues contract contractor contracts contractual contradict contrast
    control controls conventional cooperative copies copy core corporate correct correspondence cosigner cost costs
    could counsel counselors count counteroffer counts coupon course covenant covenants cover covers create creates
    credit credited creditor creditors credits creditworthy criteria critique crop crops cure current currently
    curriculum cushion customer customers cut cutoff cyber cycle daily dashboard dashboards data database date dated
    dates day days deadline deadlines dealer deals dear death debt debtor debtors debts decide decides deck decline
    declined declines decree deed default defaults defer deferred defines delays delete deletes delinquent deliver
    delivers delivery demand demographic demographics demonstrate denial denied denies deny depend depends deposit
    depository deposits derives describe describes design designate desk detail details determine determines detract
    develop developer device diagram did differ different digest digit digits direct director directors disabled
    disbursement disclose discloses discount discounts discovers discriminate discuss discusses disk disparate
    display dispute disputes disregard distinct distress dividends division divorced do dob document documentary
    documents does doing dollars done down draft drafts draw drawn draws dscr dti due duly duplex duplicative dutch
    duty e each earlier earliest early earnest earns eats ecoa educational effect effective effects effort efforts
    eight either elect electronic eligibility eligible eliminate else elsewhere email embedder employed employee
    employees employer employment empowerment empty emulator enables enclosed encompasses encumbered ended endorser
    ends enforce engagement enough enter enters entire entirety entity entries entry envelope equal equals equipment
    equity equivalent error errors escrow establish establishes estate estimate estimates estoppel etc ethnic
    european evade evaluate evaluates evaluation even evening event events ever every everybody everyone everything
    everywhere evidence exact exam examiner example examples exceeds excel except excess excessive exclude exclusive
    execute exempt exercises exist existing exit expected expects expense expenses experience expire expires explain
    explains export exporter exposure extend extends extensive extent external extractive facilitate fact factor
    factors facts fail fails fair fall falls false family faq far farmland fax fcra fee feedback fees female few
    fewer fico fide file filed files filing final finance financial financing find finds fine firm first fiscal fit
    fits five fixed fixes fixtures flood floor flow flowchart flyer folder follow follows for forbearance
    foreclosure foreclosures foreign fork form formal format formats former forms forward found four framework fraud
    from front ftc full fully funding funds furnish furnisher furnishes further gap general generate geographic get
    gets give given gives glad glba goes going gone good goods got gov governmental governs grantor grants graphics
    great greater gross guarantee guarantees guarantor guarantors guaranty guesser guesses guide guidebook
    guidelines had haircut haircuts handbook handler handling handout happy hard hardship harms has hash have hazard
    he head header headers health hearing held hello heloc help helpdesk helps her here hereby hi hidden higher
    highest his hispanic hmda hold holder holds holidays home homes hope hotline hours house household houses
    housing how hr http https hybrid icons idea identification identifies identify ids if ill illustrate illustrates
    illustrative im impact import important impose imposes in inaccurate inadequate inadvertent incident incidental
    include includes income incomplete inconsistent increase increases incur indemnifies indemnify independent index
    india indian indicate indicates indirect individual individuals info inform information informs infra initial
    inquire inquiries inquiry insert inside insights instead instructions instrument instruments insufficient
    insured insurer intake intangible intangibles intelligence intends intent interest interested interests
    interface interferes internal internet interprets interval interview into inventory investment investor invoice
    involve involves irregular irrelevant is issue issuer issues it item items its itself japanese jargon jewish
    joint jointly journey json judgmental judicial jumbo just keep keeps kept keyed kind kinds kit know knowledge
    known knows korean kyc label labels lacks land landing lapse largest last lasts late latency latino lead leaflet
    learning learnmore lease leases least leave leaves left legal legitimate lend lender lenders lending length less
    lessee lessees lesser lessor lessors let letter letters letterhead level levels liability libor libraries license
    licenses lie lien liens like likelihood limit limited limits line lines list listed lists literacy live lives
    livestock llm load loan loancheck loans lobby local location log logging login logo logs longer looks lookup
    lose loses lost lot lots lounge loves lowest loyalty ltv machine machinery machines madam made maiden mail
    mailings mails main maintain maintains major make maker makes male manager mandatory manual manuals manufactured
    many maps margin marital markers married material materials matrix matter maturity maximum me means medium meet
    meeting meetings meets member members memo memorandum mentions merger met metadata method methods metrics
    mezzanine mid middle milestone milliseconds minimum minor minute mip miss missed misses missing mls mobile
    models modification modifies modify modular module modules monitor month monthly months moratorium more morning
    mortgage mortgagee mortgagor mortgagors most motor move moved moves mr mrs ms much multifamily multiple muslim
    must my myself na name named names narrative nationality nationwide natural near nearest need needed needing
    needs negative neither net network neutral new newsletter newsletters next nine no nobody non nonconforming none
    nonresidential nor noreply normal not note noted notes nothing notice notices notifications notifies notify now
    number numbers numeric objectives obligations obligor obligors obtain obtains occupancy occupation occupied
    occur occurs of off offer offers officer officers offices official officials offset often ok okay omit on
    onboarding one ones online only onto open openapi opened opens operations opinion opt opted optional or oral
    order orders organizational origin original originates originator originators other others our ours out outlook
    output outreach outside over overbroad oversight overview owed owes own owned owner owners ownership ownerships
    owns packet packets page pages paid panel paper paragraph paragraphs parent part partial participates particular
    parties parts party passes passport password past path paths patriot pattern patterns pay payee payment payments
    payoff payoffs payor pays penalties penalty pending per percent perfection perform performs period periodic
    periods permanent permit permits person persona personal personnel persons pertains pertinent phase phone phones
    phrases pieces pipeline place placement places plan plans platform platforms playbook please pledge pledged
    pledges pledgor plus pmi policy popup portal portfolio position possible postal potential practice practices
    preapproval preapprovals predictive preference preferences preferred prefers premium premiums prepare prepares
    prepay prepays prequalification prescribes present presentation president prevent previous prices pricing
    primary prime principal print prior priority private privilege probe problem problems procedure procedures
    proceeds process product products professional profile profiles program programs progress prohibit prohibits
    project projects prominent promote promotional prompt proof proper properties property proposed prospective
    prospects prospectus protect protected protections protects protocol provide provider providers provides proxy
    publishes purchase purchaser purchases purpose purposes pursuant put qualified qualifies qualify quarter query
    question questionnaire questions queue quit quota quote quotes race radio raise random rate rates rating ratings
    ratio ratios raw re readiness reads ready real reason reasons rebate rebates receipt receivable receivables
    receive receiver receives recent recipient recipients recognisers record records recourse reduces refer referral
    referrals refers refi refinance refinances reflect reflects refund refusal refuse refuses regard regards
    register registry regular reimburse reimburses reinvestment reject rejected rejects relate relates relations
    relationship relationships relative release relevant relief reliefs relies religion rely remain remainder
    remains remarks remedies remedy reminder reminders remote remove renew renewal rent rental renter rents repaid
    repair repay repays repeat replace replaces reply report reports represent representative represents request
    requests require required requirement requirements requires rescue research reserves residence resident
    residential residents resides residual resources respa respect respond responds response responses rest restore
    restrict result results resume retail retain retains retention retired retrieval retrieve return returned
    returns revenue revenues reverse review reviews revolver revolving rewards right rights risk risks roadmap role
    roster rotate router routes rules run runs s safety sale sales same sample satisfaction satisfies satisfy
    scenario scenarios schedule scope scopes score scores screening script seam search searches second secondary
    seconds secrecy secret section secured securities security see seek seems seen sees segment segments select
    selects self seller sellers sells seminar send sends senior sent separate seq series serve server serves service
    servicer servicers services set sets settlement settlements seven several severity sex shall share shares she
    sheet sheets shop shoppers short shorter shortfall show showed shown shows sign signatory signature signed
    significant signs silent similar since single sir site sites six size skills slides slow small snapshot so
    social sofr sold sole solicitation some somebody someone something sometimes sorry sought sound source
    sources spaces span spanish spans speak speaking speaks special specific specifies specify split spoke spouse
    spouses spreadsheet sql ssn staff stage stages stand standard standby stands start starts statement states
    statistics status statutes stay stdout steps still stipulation stock stocks stolen stop stops stores stories
    strategies strategy street subject submit submits subordinate subparagraph subpart subsequent subservicer
    subsidy substantial substitute successor successors such sufficient suggest suite sum summaries summary
    supplemental supplier supplies support supports sure surname survey surveys swingline symbols sys system table
    tables tags take taken takes talks tangible target tax taxes tbd team teams telemetry telephone tells template
    templates ten tenant tenants term terminal terminate termite terms test testimonials tests text texts than thank
    thanks that the theft their them themselves then there thereafter thereof these they thing thinks third this
    those thousand thread threads three threshold thresholds through thus tied tila time timeline times tip tips
    title titles to today together token tokens tomorrow too took tool toolkit tools topic total totals town trace
    traceparent traces tracker tracking tract trade traditional training trainings transaction transcript transfer
    transferee transferor transfers transmittal treasuries treat treats trends trial trid tried tries triggers true
    trustee trusts truth turn turns tutorial twelve twice two txt type types u ucc unable unavailable under
    undermines undersigned understand understands undertake underwriter underwriters underwriting unemployed uniform
    unique unit units unknown unless unpaid unsecured until unusual up update updates upfront upgrade upload upon
    upset urgent urges us use used user users uses using vacant valid valuation value values variable varies variety
    various vary vectors vehicle vehicles vendor vendors verbatim verification verify very veteran vietnamese vii
    viii violate violates visit visitor visitors visits visual voice volume wait waiting waits waive waiver wallet
    want wanted wants warehouse warranties was we wear web webinar webmaster week welcome well went were what
    whatever when whenever where whereby whether which whichever while who whoever whole wholesale whom whose why
    widget wife willing window windows wishes with withdrawal withdrawn withdraws withheld withholds within without
    wizard woman women words work workflow working workout works worksheets workshop workshops worried worse would
    write writes writing written wrong wrote www xml year years yes yesterday yet yield you your yours zero
    zip""".split()
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

# Those of ALSO_WORDS that join or state: a name typed in lower case ends before one, and none begins a name that stands
# before or behind a role.
FUNCTION_WORDS = frozenset(
    """against although among an are as ask asked asks at be between by can concerning could despite did do does
    finally go had has he hi how however if in is it later let lets me meanwhile might moreover must my no of on
    once or per prior re read reading regarding said says see should so tell therefore though to told toward up us
    versus via was way we were what when whether why would yes""".split()
)

# Begin the names of towns and countries.
TOWNS = frozenset("baton corpus costa des el fort grand las los mount port puerto salt san santa sioux sri st".split())

# Behind a form of address in lower case these make it a company: "mr. cooper group".
COMPANIES = frozenset("co company corp corporation group holdings inc llc llp ltd".split())
