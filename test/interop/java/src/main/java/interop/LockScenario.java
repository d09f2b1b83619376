// AT row locks: a second transaction is refused a row until the transaction that changed it has ended, either way.
package interop;

import java.sql.SQLException;
import org.apache.seata.core.model.GlobalStatus;
import org.apache.seata.rm.datasource.exec.LockConflictException;
import org.apache.seata.rm.datasource.exec.LockWaitTimeoutException;

final class LockScenario implements Checks.Scenario {
    private final Database database;
    private final AtAccounts accounts;

    LockScenario(Database database, AtAccounts accounts) {
        this.database = database;
        this.accounts = accounts;
    }

    @Override
    public void run(Checks checks) throws Exception {
        int before = balance();

        Transaction committing = Transaction.begin("holder commits");
        Transaction first = meet(checks, committing);
        checks.equal("holder commits", committing.commit(), GlobalStatus.Committed);
        first.run(() -> accounts.add(1, -1));
        checks.equal("waiter commits", first.commit(), GlobalStatus.Committed);
        checks.equal("both changes stay", balance(), before - 11);

        Transaction rollingBack = Transaction.begin("holder rolls back");
        Transaction second = meet(checks, rollingBack);
        checks.equal("holder rolls back", rollingBack.rollback(), GlobalStatus.Rollbacked);
        second.run(() -> accounts.add(1, -1));
        checks.equal("waiter commits", second.commit(), GlobalStatus.Committed);
        checks.equal("the waiter's change stays", balance(), before - 12);

        committing.checkEnd(checks, GlobalStatus.Committed);
        first.checkEnd(checks, GlobalStatus.Committed);
        rollingBack.checkEnd(checks, GlobalStatus.Rollbacked);
        second.checkEnd(checks, GlobalStatus.Committed);
        checks.eventually("undo logs in the end", database::undoLogs, 0);
    }

    /** The holder takes account 1, and a waiter then gets no other than account 2. Answers the waiter. */
    private Transaction meet(Checks checks, Transaction holder) throws Exception {
        holder.run(() -> accounts.add(1, -10));
        Transaction waiter = Transaction.begin("waiter");
        waiter.run(() -> {
            accounts.add(2, 1);
            checks.equal("waiter is refused the row", isRefused(1), true);
        });
        return waiter;
    }

    private boolean isRefused(int id) throws SQLException {
        try {
            accounts.add(id, -1);
            return false;
        } catch (SQLException e) {
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                if (cause instanceof LockWaitTimeoutException || cause instanceof LockConflictException) {
                    return true;
                }
            }
            throw e;
        }
    }

    private int balance() throws SQLException {
        return database.balances().get(1);
    }
}
