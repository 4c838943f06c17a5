-- A sales export with one row per opportunity, brought to Callsheet's tables: the public practice data set
-- "CRM Sales Opportunities" (accounts.csv, products.csv, sales_pipeline.csv, sales_teams.csv).
--
-- How it is read. An opportunity of the export is a lead that was offered to its agent on the day when the agent engaged;
-- engaging is accepting; winning is converting. Ids are the export's own names. Dates carry no zone, so the configuration
-- must name one (timezone).
--
-- source: accounts (account, sector, revenue, employees, office_location, subsidiary_of)
-- source: products (product, series, sales_price)
-- source: sales_teams (sales_agent, manager, regional_office)
-- source: sales_pipeline (opportunity_id, sales_agent, product, account, deal_stage, engage_date, close_date, close_value)
-- note: the table opportunities stays empty: its rows are the offers here, and counted twice, a win of one offer would be
--   taken for the conversion of another to the same agent and account
-- note: the export has no titles, no industry codes and no region of an account: a market on buyers or on NAICS, and the
--   territory filter, cannot hold on it
-- note: when an account or contact came into the CRM is not said: the earliest date of the export is taken

-- step: product_names
-- "GTXPro" in the pipeline is "GTX Pro" among the products; any other name stays as it is.
SELECT DISTINCT p.product AS written, coalesce(k.product, p.product) AS product
FROM sales_pipeline AS p
LEFT JOIN products AS k ON replace(k.product, ' ', '') = replace(p.product, ' ', '');

-- step: dated
-- one row per: sales_pipeline
-- leaves out: neither an engage_date nor a close_date | SELECT count(*) FROM sales_pipeline
--   WHERE engage_date IS NULL AND close_date IS NULL
SELECT p.opportunity_id, p.sales_agent, n.product, p.account, p.deal_stage, p.engage_date, p.close_date
FROM sales_pipeline AS p
LEFT JOIN product_names AS n ON n.written = p.product
WHERE p.engage_date IS NOT NULL OR p.close_date IS NOT NULL;

-- step: used
-- The account is filled in when a deal is decided: it is missing in open deals only. Under a placeholder, a missing
-- revenue would tell that a deal was not won, which nobody knew on the day of the offer. So these rows are left out, and
-- what remains overstates how many of the latest offers were won.
-- one row per: dated
-- leaves out: no account | SELECT count(*) FROM dated WHERE account IS NULL
-- leaves out: an account that is not in accounts.csv | SELECT count(*) FROM dated
--   WHERE account IS NOT NULL AND account NOT IN (SELECT account FROM accounts)
SELECT * FROM dated WHERE account IN (SELECT account FROM accounts);

-- step: beginning
SELECT least(min(engage_date), min(close_date)) AS first_date FROM dated;

-- table: accounts
-- one row per: accounts
SELECT
    a.account AS account_id,
    a.account AS name,
    a.subsidiary_of AS parent_account_id,
    -- Revenue is in millions. What is no number stays as it is, for the contract to refuse.
    coalesce(CAST(round(try_cast(a.revenue AS DECIMAL(18, 6)) * 1000000, 2) AS VARCHAR), a.revenue) AS annual_revenue,
    a.employees,
    coalesce(c.code, CASE a.office_location WHEN 'Philipines' THEN 'PH' END, a.office_location) AS country,
    CASE a.sector WHEN 'technolgy' THEN 'technology' ELSE a.sector END AS segment,
    b.first_date AS created_at
FROM accounts AS a
CROSS JOIN beginning AS b
LEFT JOIN country_codes AS c ON c.name = lower(a.office_location);

-- table: contacts
-- makes: the export has no contacts, so each account gets one placeholder, without a title | SELECT count(*) FROM accounts
SELECT 'contact of ' || a.account AS contact_id, a.account AS account_id, b.first_date AS created_at
FROM accounts AS a
CROSS JOIN beginning AS b;

-- table: leads
-- one row per: used
SELECT
    opportunity_id AS lead_id,
    'contact of ' || account AS contact_id,
    account AS account_id,
    product AS solution,
    coalesce(engage_date, close_date) AS created_at,
    CASE WHEN deal_stage IN ('Won', 'Lost') THEN close_date END AS closed_at
FROM used;

-- table: reps
-- one row per: sales_teams
-- makes: agents of the pipeline who are in no team | SELECT count(DISTINCT sales_agent) FROM used
--   WHERE sales_agent NOT IN (SELECT sales_agent FROM sales_teams)
-- note: the role of every agent is regional: the export says nothing but the regional office
SELECT sales_agent AS rep_id, sales_agent AS name, 'regional' AS role, regional_office AS regions FROM sales_teams
UNION ALL
SELECT DISTINCT sales_agent, sales_agent, 'regional', NULL FROM used
WHERE sales_agent NOT IN (SELECT sales_agent FROM sales_teams);

-- table: offers
-- one row per: used
SELECT
    opportunity_id AS offer_id,
    opportunity_id AS lead_id,
    sales_agent AS rep_id,
    coalesce(engage_date, close_date) AS offered_at,
    -- Prospecting is undecided.
    CASE WHEN deal_stage IN ('Engaging', 'Won', 'Lost') THEN 'accepted' END AS answer,
    CASE WHEN deal_stage IN ('Engaging', 'Won', 'Lost') THEN coalesce(engage_date, close_date) END AS answered_at,
    CASE WHEN deal_stage = 'Won' THEN close_date END AS converted_at
FROM used;
