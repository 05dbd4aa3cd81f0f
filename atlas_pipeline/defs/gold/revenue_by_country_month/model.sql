-- Revenue by country of delivery, month and currency; cancelled orders do not count.
SELECT
    shipping_country AS country,
    date_trunc('month', ordered_at)::date AS month,
    currency,
    count(*) AS orders,
    count(DISTINCT customer_id) AS buyers,
    sum(amount) AS revenue
FROM silver.orders
WHERE status <> 'cancelled'
GROUP BY shipping_country, date_trunc('month', ordered_at)::date, currency
