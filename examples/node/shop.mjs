// A client of the shop for Node, using amqplib. `journey client add NAME` prints the URL.
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const AT_REST = new Set([
  "order.confirmed.v1", "order.rejected.v1", "order.cancelled.v1", "order.needs_attention.v1",
  "order.cancellation_refused.v1",
]);

export class Shop {
  /** Opens one connection; `close` ends it. */
  static async connect(url) {
    const shop = new Shop();
    shop.user = decodeURIComponent(new URL(url).username);
    shop.connection = await amqp.connect(url);
    shop.connection.on("error", () => {}); // each interrupted call rejects its own promise
    await shop.#openSending();
    await shop.#listen();
    return shop;
  }

  async close() {
    await this.connection.close();
  }

  /** Resolves to the order's id once the broker has confirmed the command; events report the outcome. */
  async place(customerId, lines, cardToken, orderId = randomUUID()) {
    const body = { order_id: orderId, customer_id: customerId, lines, card_token: cardToken };
    await this.send("order.place.v1", body);
    return orderId;
  }

  async cancel(orderId, customerId) {
    await this.send("order.cancel.v1", { order_id: orderId, customer_id: customerId });
  }

  /** If it fails, send again with the same `messageId`: the message takes effect only once. */
  async send(type, body, messageId = randomUUID()) {
    const channel = this.sending;
    return new Promise((resolve, reject) => {
      let returned = false;
      const onReturn = (message) => {
        if (message.properties.messageId === messageId) returned = true; // arrives before the confirm
      };
      const settle = (error) => {
        channel.off("return", onReturn);
        channel.off("error", settle);
        if (error) reject(error);
        else if (returned) reject(new Error(`${type}: no queue takes it; is the topology applied?`));
        else resolve();
      };
      channel.on("return", onReturn);
      channel.on("error", settle); // 403: this client may not send it. 406: userId is wrong
      channel.publish("commands", type, Buffer.from(JSON.stringify(body)), {
        type,
        messageId,
        userId: this.user,
        contentType: "application/json",
        persistent: true,
        mandatory: true,
      }, settle);
    });
  }

  /** The events of an order, up to a final one or the first for which `until` is true. Call it before the next command. */
  async *follow(orderId, until = (event) => AT_REST.has(event.type)) {
    const seen = new Set();
    for (let next = 0; ; ) {
      const received = this.#events(orderId);
      if (next === received.length) {
        await new Promise((resolve) => this.waiting.add(resolve));
        continue;
      }
      const event = received[next++];
      if (seen.has(event.id)) continue; // an event may arrive more than once
      seen.add(event.id);
      yield event;
      if (until(event)) return;
    }
  }

  async #openSending() {
    this.sending = await this.connection.createConfirmChannel();
    this.sending.on("error", () => {});
    this.sending.on("close", () => this.#openSending().catch(() => {})); // an error closes the channel, not the connection
  }

  async #listen() {
    this.received = new Map();
    this.waiting = new Set();
    const channel = await this.connection.createChannel();
    const { queue } = await channel.assertQueue(`${this.user}.${randomUUID()}`, { exclusive: true });
    await channel.bindQueue(queue, "client_events", "order.*.*");
    await channel.consume(queue, (message) => this.#onMessage(message), { noAck: true });
  }

  #onMessage(message) {
    if (message === null) return; // the queue was deleted
    const { type, messageId } = message.properties;
    const body = JSON.parse(message.content.toString());
    this.#events(body.order_id).push({ type, id: messageId, body });
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }

  #events(orderId) {
    if (!this.received.has(orderId)) this.received.set(orderId, []);
    return this.received.get(orderId);
  }
}
