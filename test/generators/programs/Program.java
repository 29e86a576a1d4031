// Written by hand around the client of openapi-generator for Java (library native).
import java.net.URI;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.AuthApi;
import org.openapitools.client.api.MeApi;
import org.openapitools.client.model.Credentials;
import org.openapitools.client.model.RefreshInput;
import org.openapitools.client.model.SecurityEventPage;
import org.openapitools.client.model.TokenPair;
import org.openapitools.client.model.UserAccount;

public class Program {
  private static String token = "";

  public static void main(String[] args) throws ApiException {
    ApiClient client = new ApiClient();
    URI address = URI.create(args[0]);
    client.setScheme(address.getScheme()).setHost(address.getHost()).setPort(address.getPort()).setBasePath("");
    client.setRequestInterceptor(request -> {
      if (!token.isEmpty()) request.header("Authorization", "Bearer " + token);
    });
    AuthApi auth = new AuthApi(client);
    MeApi own = new MeApi(client);
    TokenPair pair = auth.login(new Credentials().username(args[1]).password(args[2]), null);
    token = pair.getAccessToken();
    UserAccount me = own.getMe();
    expect(me.getUsername().equals(args[1]) && me.getRole().equals("user"), "It is another user.");
    SecurityEventPage first = own.listSecurityEvents(1, null);
    expect(first.getNextCursor() != null, "There is no second page.");
    SecurityEventPage second = own.listSecurityEvents(1, first.getNextCursor());
    expect(!second.getEvents().get(0).getId().equals(first.getEvents().get(0).getId()), "The second page is the first.");
    token = auth.refresh(null, new RefreshInput().refreshToken(pair.getRefreshToken())).getAccessToken();
    auth.logout(null, null, null);
    try {
      own.getMe();
      throw new AssertionError("The token is accepted after the logout.");
    } catch (ApiException refused) {
      expect(refused.getCode() == 401 && refused.getResponseBody().contains("token_revoked"), refused.getResponseBody());
    }
  }

  private static void expect(boolean isTrue, String otherwise) {
    if (!isTrue) throw new AssertionError(otherwise);
  }
}
