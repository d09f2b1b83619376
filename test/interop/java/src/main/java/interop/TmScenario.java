// The TM alone: begin, status, commit and rollback of transactions without branches, and of ones that ended or never were.
package interop;

import org.apache.seata.core.model.GlobalStatus;

final class TmScenario implements Checks.Scenario {
    @Override
    public void run(Checks checks) throws Exception {
        Transaction committed = Transaction.begin("commit");
        checks.equal("status after begin", committed.status(), GlobalStatus.Begin);
        checks.equal("commit", committed.commit(), GlobalStatus.Committed);
        committed.checkEnd(checks, GlobalStatus.Committed);
        checks.oneOf("commit again", committed.commit(), GlobalStatus.Committed, GlobalStatus.Finished);

        Transaction rolledBack = Transaction.begin("rollback");
        checks.equal("rollback", rolledBack.rollback(), GlobalStatus.Rollbacked);
        rolledBack.checkEnd(checks, GlobalStatus.Rollbacked);
        checks.oneOf("rollback again", rolledBack.rollback(), GlobalStatus.Rollbacked, GlobalStatus.Finished);
        checks.oneOf("commit of a rolled back one", rolledBack.commit(), GlobalStatus.Rollbacked, GlobalStatus.Finished);

        Transaction unknown = new Transaction(committed.xid().replaceFirst("\\d+$", "1234567890"));
        checks.equal("status of an unknown one", unknown.status(), GlobalStatus.Finished);

        Transaction named = Transaction.begin("Überweisung 汇款");
        checks.equal("commit of one with a name in UTF-8", named.commit(), GlobalStatus.Committed);
    }
}
