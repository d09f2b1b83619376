// AT row locks: a second transaction is refused a row until the transaction that changed it has ended, either way.
package interop;

import java.sql.SQLException;
import java.util.concurrent.CompletableFuture;
import org.apache.seata.core.model.GlobalStatus;
import org.apache.seata.rm.datasource.exec.LockConflictException;
import org.apache.seata.rm.datasource.exec.LockWaitTimeoutException;

final class LockScenario implements Checks.Scenario {
    /** Less than the 300 ms for which a client tries again. */
    private static final long SOON_MILLIS = 100;

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

        Transaction busy = Transaction.begin("holder commits soon");
        busy.run(() -> accounts.add(1, -10));
        Transaction patient = Transaction.begin("waiter tries again");
        var waiting = CompletableFuture.runAsync(() -> patient.runUnchecked(() -> accounts.add(1, -1)));
        Thread.sleep(SOON_MILLIS);
        checks.equal("waiter waits", waiting.isDone(), false);
        checks.equal("holder commits", busy.commit(), GlobalStatus.Committed);
        waiting.get();
        checks.equal("waiter commits", patient.commit(), GlobalStatus.Committed);
        checks.equal("both changes stay", balance(), before - 23);
        Transaction reading = Transaction.begin("select for update");
        reading.run(() -> checks.equal("a free row for update", accounts.lock(1), before - 23));
        checks.equal("commit of the reader", reading.commit(), GlobalStatus.Committed);

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
            checks.equal("waiter is refused the row", isRefused(() -> accounts.add(1, -1)), true);
            checks.equal("waiter is refused the row for update", isRefused(() -> accounts.lock(1)), true);
        });
        return waiter;
    }

    private static boolean isRefused(Transaction.Work work) throws Exception {
        try {
            work.run();
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
