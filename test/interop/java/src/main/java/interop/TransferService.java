// The business method of the TCC scenario: a global transaction over both actions, begun and ended by Seata's annotation.
package interop;

import org.apache.seata.core.context.RootContext;
import org.apache.seata.spring.annotation.GlobalTransactional;

public class TransferService {
    private final DebitAction debit;
    private final CreditAction credit;
    private Transaction last;

    public TransferService(DebitAction debit, CreditAction credit) {
        this.debit = debit;
        this.credit = credit;
    }

    /** A transfer that fails after both prepares rolls back. */
    @GlobalTransactional(name = "transfer")
    public void transfer(int debited, int credited, boolean fails) {
        last = new Transaction(RootContext.getXID());
        debit.prepare(null, debited);
        credit.prepare(null, credited);
        if (fails) {
            throw new IllegalArgumentException("this transfer fails");
        }
    }

    public Transaction last() {
        return last;
    }
}
