"""The ideas of the common families of `sample_phrases` once more, in plain but other words.

A keyword list or a bag of words that knows one wording does not know the next; somebody who
understands the first understands them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PARAPHRASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        label: tuple(block.strip().splitlines())
        for label, block in {
            "off_channel": """
Write to me on a private messenger about {firm}, work chats are saved.
Let us carry on in an encrypted app where the firm keeps no copy.
Reach me on my personal cell, every call at the desk is taped.
Mail it to my Gmail instead, the corporate inbox is under watch.
Better not put this in the office chat, text my own phone.
Destroy this conversation afterwards and contact me on the other messenger.
I prefer an unmonitored line for {client}, try my personal number.
Do not use the firm's email for this, my private inbox is open.
I created a secret chat group outside the company, talk about {firm} there.
Our messages here are kept by compliance, so switch to a private app.
Let's speak in person about {client}, without any written record.
Set the chat to auto-delete, then I will tell you about {firm}.
Skip the recorded phone, I will call your personal mobile tonight.
For this order use my personal messenger account, not the official channel.
No written evidence please, talk to me privately outside the office.
Send the file about {client} to my personal email so that nobody at work can see it.
Compliance monitors this chat, move over to a secret conversation on your phone.
The official chat leaves a trail, so I will message your private number.
""",
            "insider_information": """
I have non-public information that {firm} is about to be acquired, buy the stock today.
Secretly the company is preparing a merger, purchase shares before anyone learns about it.
Someone inside {firm} told me the quarter is terrible, sell your shares before the report.
An insider tells me that the regulator rejects the drug of {firm} tomorrow, short the stock.
We got the earnings of {firm} early, let's trade before they are published.
A colleague on the confidential deal leaked the offer price to me, buy now.
The news is still secret, invest in {firm} before the market finds out.
My wife works at {firm} and says they will announce bankruptcy, get rid of your shares.
I learned in confidence that {firm} raises its forecast on {day}, so purchase some stock.
Before the public hears of the buyout, open a position in {firm} under your mother's name.
Use what my contact in the boardroom told me and sell {firm} ahead of the statement.
The unpublished accounts of {firm} are awful, bet against the share.
The contract is not announced yet, but the director told me {firm} gets it, so invest.
Keep it secret, the rival makes an offer for {firm} this weekend, own shares by {day}.
I know the rate decision before it is released, trade the bonds now.
A friend at the law firm revealed the takeover target to me: {firm}, buy quietly.
I was told privately that {firm} will suspend its dividend, sell before the disclosure.
Take advantage of the leaked report on {firm} and trade before the official release.
""",
            "market_manipulation": """
Enter large orders for {firm} that you will cancel, just to move the price.
We trade the same shares back and forth to fake some volume.
Let's drive the share price of {firm} artificially up before the market closes.
Place false buy orders so that others believe there is demand, then withdraw them.
Post invented good news about {firm} online so that the price jumps and we can sell.
All dealers should agree on the same spread for {bond} and cheat the customers together.
Submit a false rate to the benchmark, it brings our position a profit.
Buy aggressively in the final minute to lift the closing price of {firm}.
Tell the traders at {counterparty} to fix the price of {bond} with us.
Invent a negative story about {firm} and buy the shares cheaply when they fall.
Create the impression of heavy trading in {firm} by selling it to ourselves.
We inflate the price of {firm} together and then sell to the fools who follow.
Keep the price of {firm} artificially low until our order is through.
Coordinate with the other banks so that the rate is set in our favour.
Deceive the other traders with orders you never want executed.
Corner the supply of {bond} so that the others must pay whatever we ask.
Distort the closing auction in {firm} with our orders, the index fund has to follow.
Let's rig the price of {firm} and share the profit.
""",
            "gifts_and_bribery": """
Bribe the official with {amount} and our permit will be granted.
Pay for the luxury holiday of the fund manager so that he gives us the business.
Offer the buyer at {client} an expensive present to win the contract.
Transfer {amount} secretly to the decision maker's relative in exchange for the deal.
Conceal the costly gift for {client} by declaring it as office costs.
Give the procurement head a share of the profits if he selects us.
We invite the minister's family to a luxury hotel, he will return the favour with the mandate.
Cash for the auditor and he overlooks the problem.
If the treasurer sends his orders to us, he receives a new car.
Hand over the money to the customs officer discreetly so that he helps us.
The client demands an illegal commission, disguise it as a consulting fee.
Give the expensive wine to the trustee personally so that he votes for us.
Employ his son and in exchange the fund gives us its orders.
Do not report the present to compliance, the manager at {client} wants it to stay secret.
A generous reward waits for the official if he approves our application.
Buy jewellery for the wife of the director, then he signs the contract.
Our competitor lost because we paid the committee under the table.
We reward {first} at {client} privately with {amount} for each order sent to us.
""",
            "harassment": """
You are worthless and too dumb for this job.
Everybody here hates you, so keep quiet and work.
You are the worst employee I have ever seen, how can anyone be so incompetent?
I will ruin your career if you tell anybody about this.
Shut your mouth, you moron, nobody wants your opinion.
You look cheap in that blouse, but at least the men enjoy the view.
You are too old and slow for this team, just leave.
How can a grown man be so dumb, {first}?
You are a failure and your colleagues make fun of you.
If you don't come to dinner with me, you can forget your bonus.
Complain about me again and I will have you fired.
Women are too emotional for trading, go back to the kitchen.
Your work is rubbish and so are you.
I am sick of your ugly face, get out of my sight.
You are an embarrassment to this company and everyone knows it.
Foreigners like you should be grateful to be allowed in this office.
Do you have a brain at all, {first}? A kid could do it.
Stop whining, you coward, or I'll really give you something to whine about.
""",
            "data_exfiltration": """
I secretly saved the customer data on my own hard drive and take it with me when I quit.
Send the confidential files to my personal email before my access is removed.
Steal the client contacts for me, I need them at my next company.
Upload the internal documents to my private storage without anyone noticing.
Lend me your account so that I can take the confidential records without being traced.
I disguised the secret file so that security does not detect it leaving the network.
I will sell the confidential customer database to a competitor.
Take photos of the client records with your phone and give them to me.
I took the source code of the trading model home, it helps me in the new job.
Smuggle the printed client reports out of the office.
Bypass the security software, then transfer the internal data to an external server.
Before resigning I saved every customer's details to my personal computer.
Could you leak the internal holdings of {client} to {counterparty}? They pay well.
Transfer the files slowly so that the monitoring does not raise an alarm.
I made a private copy of all account data, they will never find out.
Disable the security check on the server so that I can extract the customer records.
Give the outsider access to our database, he pays for the information.
I already moved the confidential research to my own cloud account for my next employer.
""",
            "spam": """
You won our lottery, send your details to collect the prize of {amount}.
Cheap medicine without prescription, order now and save {percent}.
Your account will be blocked, log in here to verify your data immediately.
Make quick money with bitcoin, our system guarantees huge profits.
Increase the traffic of your website, our marketing agency helps for little money.
An inheritance of {amount} awaits you, contact the lawyer to transfer the funds.
Lose weight fast with our miracle product, order a free trial.
Sign up for our free course and become rich by trading.
Click here to win a brand new phone.
Best deals of the week: designer bags with {percent} off, shop now.
Meet beautiful singles in your area tonight.
Your package is waiting, click here and pay the delivery fee.
Cheap loans for everyone, apply online, money in your account today.
Act now, this special offer for our valued customers ends tonight.
Work from home and earn {amount} every month, no experience needed.
Buy email addresses of thousands of managers for your advertising.
Get a university diploma online in a week, no study needed.
Last chance to claim your free gift, click on the link below.
""",
        }.items()
    }
)
