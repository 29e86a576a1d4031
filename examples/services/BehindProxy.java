import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/**
 * A service behind a proxy that asks signout about each request (deploy/nginx/protect.conf, deploy/caddy/Caddyfile).
 * It verifies no token: the proxy sets the headers. So only the proxy may reach it, and it listens on loopback.
 *
 * Run it with `PORT=8080 java BehindProxy.java`.
 */
public class BehindProxy {
  public static void main(String[] args) throws IOException {
    int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
    server.createContext("/articles", BehindProxy::answer);
    server.start();
  }

  private static void answer(HttpExchange exchange) throws IOException {
    String user = exchange.getRequestHeaders().getFirst("X-User-Id");
    // The proxy forwards no request without a user. A missing header means that it is configured wrongly.
    boolean isBehindProxy = user != null && !user.isEmpty();
    String text = isBehindProxy ? "{\"user\":\"" + user + "\"}" : "{\"error\":\"no user\"}";
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    exchange.sendResponseHeaders(isBehindProxy ? 200 : 500, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }
}
