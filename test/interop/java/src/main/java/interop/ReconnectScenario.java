// The coordinator ends and comes back while a transaction is open: the client finds it again, and the transaction goes on.
package interop;

import org.apache.seata.core.exception.TransactionException;
import org.apache.seata.core.model.GlobalStatus;

final class ReconnectScenario implements Checks.Scenario {
    private final Database database;
    private final AtAccounts accounts;

    ReconnectScenario(Database database, AtAccounts accounts) {
        this.database = database;
        this.accounts = accounts;
    }

    @Override
    public void run(Checks checks) throws Exception {
        var before = database.balances();
        Transaction open = Transaction.begin("over a restart");
        open.run(() -> accounts.add(1, -10));
        // Whoever started this program restarts the coordinator at this line, and says so on standard input.
        checks.equal("status before the restart", open.status(), GlobalStatus.Begin);
        checks.equal("the coordinator was restarted", System.in.read(), (int) '\n');

        checks.eventually("status after the restart", () -> statusOf(open), GlobalStatus.Begin);
        checks.eventually("a branch after the restart", () -> isDone(open), true);
        checks.equal("commit", open.commit(), GlobalStatus.Committed);
        before.merge(1, -10, Integer::sum);
        before.merge(2, 10, Integer::sum);
        checks.equal("accounts in the end", database.balances(), before);
        checks.eventually("undo logs in the end", database::undoLogs, 0);
    }

    /** Null while the client has not found the coordinator yet. */
    private static GlobalStatus statusOf(Transaction transaction) {
        try {
            return transaction.status();
        } catch (TransactionException | RuntimeException e) {
            return null;
        }
    }

    private boolean isDone(Transaction open) {
        try {
            open.run(() -> accounts.add(2, 10));
            return true;
        } catch (Exception e) {
            return false;
        }
    }
}
