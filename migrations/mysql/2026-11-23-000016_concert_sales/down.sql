DROP TABLE IF EXISTS concert_sales;
