-- One row per customer: what they bought and how often they needed help.
WITH bought AS (
    SELECT
        customer_id,
        count(*) AS orders,
        sum(amount) FILTER (WHERE status <> 'cancelled') AS revenue,
        max(ordered_at) AS last_order_at
    FROM silver.orders
    GROUP BY customer_id
),

helped AS (
    SELECT
        customer_id,
        count(*) AS tickets,
        avg(satisfaction) AS satisfaction
    FROM silver.support_tickets
    GROUP BY customer_id
)

SELECT
    c.customer_id,
    c.email AS email_hash,
    c.country,
    c.segment,
    c.marketing_opt_in,
    c.created_at,
    coalesce(b.orders, 0) AS orders,
    coalesce(b.revenue, 0) AS revenue,
    b.last_order_at,
    coalesce(h.tickets, 0) AS tickets,
    round(h.satisfaction, 2) AS satisfaction
FROM silver.customers AS c
LEFT JOIN bought AS b ON c.customer_id = b.customer_id
LEFT JOIN helped AS h ON c.customer_id = h.customer_id
