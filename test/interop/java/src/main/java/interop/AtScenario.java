// AT: a transaction whose statements stay, and one whose update, insert and delete are undone, on a real database.
package interop;

import java.util.Map;
import org.apache.seata.core.model.GlobalStatus;

final class AtScenario implements Checks.Scenario {
    private final Database database;
    private final AtAccounts accounts;

    AtScenario(Database database, AtAccounts accounts) {
        this.database = database;
        this.accounts = accounts;
    }

    @Override
    public void run(Checks checks) throws Exception {
        Transaction committed = Transaction.begin("at commit");
        committed.run(() -> {
            accounts.transfer(1, 2, 10);
            accounts.add(3, 5);
        });
        checks.equal("undo logs before the commit", database.undoLogs(), 2);
        checks.equal("commit", committed.commit(), GlobalStatus.Committed);
        checks.eventually("undo logs after the commit", database::undoLogs, 0);
        checks.equal("accounts after the commit", database.balances(), Map.of(1, 90, 2, 110, 3, 105));
        committed.checkEnd(checks, GlobalStatus.Committed);

        Transaction rolledBack = Transaction.begin("at rollback");
        rolledBack.run(() -> {
            accounts.add(1, -20);
            accounts.open(4, 20);
            accounts.close(2);
        });
        checks.equal("accounts before the rollback", database.balances(), Map.of(1, 70, 3, 105, 4, 20));
        checks.equal("rollback", rolledBack.rollback(), GlobalStatus.Rollbacked);
        checks.equal("accounts after the rollback", database.balances(), Map.of(1, 90, 2, 110, 3, 105));
        checks.equal("undo logs after the rollback", database.undoLogs(), 0);
        rolledBack.checkEnd(checks, GlobalStatus.Rollbacked);
    }
}
