// One global transaction as its TM sees it, through the client's TransactionManager.
package interop;

import java.time.Duration;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.exception.TransactionException;
import org.apache.seata.core.model.GlobalStatus;
import org.apache.seata.tm.TransactionManagerHolder;

record Transaction(String xid) {
    private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(60);

    interface Work {
        void run() throws Exception;
    }

    static Transaction begin(String name) throws TransactionException {
        return begin(name, DEFAULT_TIMEOUT);
    }

    static Transaction begin(String name, Duration timeout) throws TransactionException {
        var begun = new Transaction(TransactionManagerHolder.get().begin(null, null, name, (int) timeout.toMillis()));
        System.out.println("begun " + begun.xid);
        return begun;
    }

    GlobalStatus status() throws TransactionException {
        return TransactionManagerHolder.get().getStatus(xid);
    }

    GlobalStatus commit() throws TransactionException {
        return TransactionManagerHolder.get().commit(xid);
    }

    GlobalStatus rollback() throws TransactionException {
        return TransactionManagerHolder.get().rollback(xid);
    }

    /** What the work does in this thread belongs to this transaction. */
    void run(Work work) throws Exception {
        RootContext.bind(xid);
        try {
            work.run();
        } finally {
            RootContext.unbind();
        }
    }

    /** For threads of their own. */
    void runUnchecked(Work work) {
        try {
            run(work);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** The coordinator says this outcome, or Finished, as one that forgets ended transactions does. */
    void checkEnd(Checks checks, GlobalStatus outcome) throws Exception {
        checks.eventually("status after the end", this::status, outcome, GlobalStatus.Finished);
    }
}
