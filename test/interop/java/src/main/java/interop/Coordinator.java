// The coordinator under test: where it is, the one setting that differs from a default client, and waiting until it serves.
package interop;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import org.apache.seata.core.exception.TransactionException;

final class Coordinator {
    private static final Duration SLOW_START = Duration.ofSeconds(60);

    private final String addresses;

    /** HOST:PORT, or several of them with a semicolon between two. */
    Coordinator(String addresses) {
        this.addresses = addresses;
    }

    /** A client that met a closed port would try again only a minute later, so clients start after this. */
    void awaitPort() throws InterruptedException {
        for (String address : addresses.split(";")) {
            int colon = address.lastIndexOf(':');
            var place = new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
            if (!Waiting.until(SLOW_START, () -> accepts(place))) {
                throw new IllegalStateException("nobody listens at " + address);
            }
        }
    }

    /** System properties win over file.conf. A client that finds its coordinator in another way does not read this one. */
    void useAsDefault() {
        System.setProperty("service.default.grouplist", addresses);
    }

    /** An open port need not mean that transactions can begin. */
    void awaitAnswer() throws InterruptedException {
        if (!Waiting.until(SLOW_START, Coordinator::answers)) {
            throw new IllegalStateException("no transaction could begin at " + addresses);
        }
    }

    static boolean accepts(InetSocketAddress place) {
        try (Socket socket = new Socket()) {
            socket.connect(place, 1000);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static boolean answers() {
        try {
            Transaction.begin("first").rollback();
            return true;
        } catch (TransactionException | RuntimeException e) {
            return false;
        }
    }
}
