// Gateways that the client finds by itself: the one that it uses is killed under open transactions, and all goes on at the other.
package interop;

import java.net.InetSocketAddress;
import java.util.List;
import org.apache.seata.core.exception.TransactionException;
import org.apache.seata.core.model.GlobalStatus;
import org.apache.seata.discovery.registry.RegistryFactory;

final class GatewaysScenario implements Checks.Scenario {
    private final Database database;
    private final AtAccounts accounts;

    GatewaysScenario(Database database, AtAccounts accounts) {
        this.database = database;
        this.accounts = accounts;
    }

    @Override
    public void run(Checks checks) throws Exception {
        List<InetSocketAddress> both = RegistryFactory.getInstance().lookup("default_tx_group");
        checks.equal("gateways that were found", both.size(), 2);
        var before = database.balances();

        Transaction committed = Transaction.begin("over the end of its gateway, commits");
        committed.run(() -> accounts.add(1, -10));
        Transaction rolledBack = Transaction.begin("over the end of its gateway, rolls back");
        rolledBack.run(() -> accounts.add(3, -10));
        // Whoever started this program kills the gateway at this line.
        checks.equal("status while both gateways are there", committed.status(), GlobalStatus.Begin);
        checks.eventually("gateways that still accept", () -> both.stream().filter(Coordinator::accepts).count(), 1L);

        long killed = System.nanoTime();
        checks.eventually("status at the other gateway", () -> statusOf(committed), GlobalStatus.Begin);
        System.out.println("found after " + (System.nanoTime() - killed) / 1_000_000 + " ms");
        committed.run(() -> accounts.add(2, 10));
        checks.equal("commit of one with branches over both", committed.commit(), GlobalStatus.Committed);
        checks.equal("rollback of one with its branch over the first", rolledBack.rollback(), GlobalStatus.Rollbacked);
        before.merge(1, -10, Integer::sum);
        before.merge(2, 10, Integer::sum);
        checks.equal("accounts in the end", database.balances(), before);
        checks.eventually("undo logs in the end", database::undoLogs, 0);
        committed.checkEnd(checks, GlobalStatus.Committed);
        rolledBack.checkEnd(checks, GlobalStatus.Rollbacked);
        checks.equal("commit of one begun after", Transaction.begin("at the other").commit(), GlobalStatus.Committed);
    }

    /** Null while the client has not found the other gateway yet. */
    private static GlobalStatus statusOf(Transaction transaction) {
        try {
            return transaction.status();
        } catch (TransactionException | RuntimeException e) {
            return null;
        }
    }
}
