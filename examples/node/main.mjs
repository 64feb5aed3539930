// Places an order, follows it, cancels it, and prints each event.
//   AMQP_URL=… node main.mjs CUSTOMER_ID SKU=QUANTITY…
import { Shop } from "./shop.mjs";

const [customerId, ...words] = process.argv.slice(2);
const lines = words.map((word) => {
  const [sku, quantity] = word.split("=");
  return { sku, quantity: Number(quantity) };
});

const shop = await Shop.connect(process.env.AMQP_URL);
try {
  const orderId = await shop.place(customerId, lines, "tok_visa");
  console.log(orderId);
  for await (const event of shop.follow(orderId)) console.log(event.type);
  await shop.cancel(orderId, customerId);
  const ended = (event) => ["order.cancelled.v1", "order.cancellation_refused.v1"].includes(event.type);
  for await (const event of shop.follow(orderId, ended)) console.log(event.type);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await shop.close();
}
