"""Messages that none of the agents has among its examples, by the agent that should answer; and some for nobody."""

GREETING = """hello everyone
hi friend
good morning to the team
hey, good to see you
evening!
how do you do
hope you are well today
how have you been
what's new with you
hello again
hi, it's Maria from underwriting
hey assistant
top of the morning
is someone there?
thanks so much
thank you, that answers it
thx
awesome, thanks a bunch
much obliged
you have been a great help
that is all, thank you
cool, cheers
bye bye
see ya
so long
have a great evening
catch you later
enjoy your weekend
good night and thanks
I am off, goodbye""".splitlines()

HELP = """what are you able to help me with?
what can this assistant do for me
how can I use you
what questions can you answer
show me what I can ask
tell me what you do
I need some help getting started
what functions do you have
could you help me out
what is your purpose
who am I talking to
are you an AI
give me a few sample questions
how do I get started
list what you can do
what subjects do you know about
explain how to use this
help please
what else can you do
which features does the assistant have
I'm lost, what should I ask
can you tell me how this works
what do you offer
show the help
what tasks can you perform
how do I talk to you
do you have a user guide
what are my options here
what abilities do you have
describe yourself""".splitlines()

KNOWLEDGE = """What's the maximum loan-to-value for land development?
Which LTV limit applies to multifamily construction?
Tell me the supervisory limit for an office building
Do owner-occupied houses have an LTV limit?
Do we need an appraisal for a commercial loan below the threshold?
Who may perform an evaluation?
What does HCLTV stand for?
How is coverage of collateral computed in general?
What DSCR does the SBA want on small loans?
Why was the 43% DTI cap removed?
What is the haircut on mutual funds?
What haircut do corporate bonds get?
When are invoices ineligible for the borrowing base?
How are inventory advance rates set?
What is a blanket lien?
Where do I file a UCC-1 for a corporation?
When does a UCC filing expire?
How do you perfect a lien on a car?
What is the first-to-file rule?
How does PMSI in inventory get priority?
What has to be in a denial letter?
Can I ask an applicant about childbearing plans?
How quickly must we tell a consumer that credit is denied?
What is the definition of an application?
When is flood insurance mandatory?
How must we handle loans that exceed supervisory LTV limits?
What are the record retention rules for applications?
What is a higher-priced mortgage loan?
What does our policy say about debt yield?
Which collateral can secure a 7(a) loan above 50,000 dollars?""".splitlines()

COLLATERAL = """home value 600k, mortgage 480k
LTV for 225,000 against a property appraised at 300,000?
my house is worth 520,000 and I owe 310,000, I'd like another 90,000
what's the ltv if I borrow $280k on a condo worth $350k
compute cltv: value 700000, first lien 400000, second lien 120000
we lend 1.8mm on a warehouse valued at 2.4mm, is it within the supervisory limit
vacant land 150k, loan 110k
commercial construction project cost 5 million, loan 4.2 million
how large a mortgage fits a rental house worth 410k
what would the loan have to be to stay at the limit?
how much extra collateral would bring 900k down to the limit
net operating income of 310,000 and debt service of 260,000, what's the coverage ratio
dscr for ebitda 1.1m and annual payments 800k
NOI 75,000 loan 900,000 debt yield?
dti: income 9,500 monthly, debts 3,100
I make 60,000 a year and pay 1,400 each month, what's my debt-to-income
gross income 8k, car payment 450, mortgage payment 2,000
securities worth 250k with a 25% haircut for a 150k loan
is a loan of 90k covered by 120k of treasury bonds with 4% haircut
equipment 300k at 40% haircut less prior lien 30k versus a 100k loan
AR 500k at 85% and inventory 400k at 50% against a 600k line
put 15% down on a 380,000 house
price 640k, appraisal 600k, loan 500k
what if it appraises at 350k instead
suppose the loan were 420k
and what about a loan of 250k?
run the numbers for a 500k loan on a 700k building
HELOC limit 100k with 35k drawn, first mortgage 240k, home 450k
can you compute the dscr with NOI 88k and debt service 70k
stress test: value falls 30%, loan 400k, value 600k""".splitlines()

NOBODY = """best pizza in town
asdf qwer zxcv
what's the weather tomorrow
play some jazz music
who won the world cup in 1998
translate cat into Spanish
tell me a joke
book a flight to Rome
how tall is Mount Everest
set an alarm for 7
recipe for banana bread
blorp fnord wibble
...
??
xx
lorem ipsum dolor sit amet
my dog ate my homework
what is the capital of Mongolia
turn off the lights
how do I fix a flat tire
recommend a good movie
symptoms of the flu
order me a taxi
write a poem about the sea
jkhsdf kjhsdf kjh
42
football scores
how to train for a marathon
python list comprehension syntax
buy bitcoin now""".splitlines()
