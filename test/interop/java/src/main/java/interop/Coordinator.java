// The coordinator under test: its address, the one setting that differs from a default client, and waiting until it serves.
package interop;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import org.apache.seata.core.exception.TransactionException;

final class Coordinator {
    private static final Duration SLOW_START = Duration.ofSeconds(60);

    private final String address;

    Coordinator(String address) {
        this.address = address;
    }

    /** A client that met a closed port would try again only a minute later, so clients start after this. */
    void awaitPort() throws InterruptedException {
        if (!Waiting.until(SLOW_START, this::accepts)) {
            throw new IllegalStateException("nobody listens at " + address);
        }
    }

    /** System properties win over file.conf. */
    void useAsDefault() {
        System.setProperty("service.default.grouplist", address);
    }

    /** An open port need not mean that transactions can begin. */
    void awaitAnswer() throws InterruptedException {
        if (!Waiting.until(SLOW_START, Coordinator::answers)) {
            throw new IllegalStateException("no transaction could begin at " + address);
        }
    }

    private boolean accepts() {
        int colon = address.lastIndexOf(':');
        var host = new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
        try (Socket socket = new Socket()) {
            socket.connect(host, 1000);
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
