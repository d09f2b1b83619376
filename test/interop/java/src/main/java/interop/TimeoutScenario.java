// Transactions that nobody ends: the coordinator rolls them back when their time is over.
package interop;

import java.time.Duration;
import org.apache.seata.core.model.GlobalStatus;

final class TimeoutScenario implements Checks.Scenario {
    private final Database database;
    private final AtAccounts accounts;

    TimeoutScenario(Database database, AtAccounts accounts) {
        this.database = database;
        this.accounts = accounts;
    }

    @Override
    public void run(Checks checks) throws Exception {
        Transaction empty = Transaction.begin("timeout without branches", Duration.ofSeconds(1));
        checks.equal("status before the timeout", empty.status(), GlobalStatus.Begin);

        var before = database.balances();
        Transaction abandoned = Transaction.begin("timeout with branches", Duration.ofSeconds(3));
        abandoned.run(() -> {
            accounts.add(1, -10);
            accounts.open(5, 10);
        });
        checks.equal("accounts are changed before the timeout", !database.balances().equals(before), true);
        checks.eventually("accounts after the timeout", database::balances, before);
        abandoned.checkEnd(checks, GlobalStatus.TimeoutRollbacked);
        checks.equal("undo logs after the timeout", database.undoLogs(), 0);

        empty.checkEnd(checks, GlobalStatus.TimeoutRollbacked);
        checks.oneOf("late commit", empty.commit(), GlobalStatus.TimeoutRollbacked, GlobalStatus.Finished);

        Transaction next = Transaction.begin("after the timeout");
        next.run(() -> accounts.add(1, 1));
        checks.equal("the row is free again", next.commit(), GlobalStatus.Committed);
        next.checkEnd(checks, GlobalStatus.Committed);
    }
}
