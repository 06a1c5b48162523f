/** A mail server that takes mails, refuses them, or dies after taking one, as the test wants. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface SmtpServer {
  readonly url: string;
  /** As they came, headers and all. */
  readonly mails: readonly string[];
  /** What meets the next mails, in order: an answer such as `550 no such user`, or `lost` after taking it. */
  readonly faults: string[];
  close(): Promise<void>;
}

export async function startSmtpServer(): Promise<SmtpServer> {
  const mails: string[] = [];
  const faults: string[] = [];
  const sockets = new Set<Socket>();

  function converse(socket: Socket): void {
    let waiting = '';
    let isData = false;
    const say = (line: string) => socket.write(`${line}\r\n`);
    say('220 test');
    socket.on('data', (bytes) => {
      waiting += bytes.toString('latin1');
      for (;;) {
        const end = waiting.indexOf(isData ? '\r\n.\r\n' : '\r\n');
        if (end === -1) return;
        const text = waiting.slice(0, end);
        waiting = waiting.slice(end + (isData ? 5 : 2));
        if (isData) {
          isData = false;
          take(text);
        } else if (text.startsWith('EHLO')) say('250 test');
        else if (text === 'DATA') {
          isData = true;
          say('354 go on');
        } else if (text === 'QUIT') socket.end('221 bye\r\n');
        else say('250 ok');
      }
    });
    function take(mail: string): void {
      const fault = faults.shift();
      if (fault !== undefined && fault !== 'lost') return void say(fault);
      mails.push(Buffer.from(mail, 'latin1').toString('utf8'));
      if (fault === 'lost') socket.destroy();
      else say('250 taken');
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    converse(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mails,
    faults,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
