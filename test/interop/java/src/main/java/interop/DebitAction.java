// The first TCC resource.
package interop;

import org.apache.seata.rm.tcc.api.BusinessActionContext;
import org.apache.seata.rm.tcc.api.BusinessActionContextParameter;
import org.apache.seata.rm.tcc.api.LocalTCC;
import org.apache.seata.rm.tcc.api.TwoPhaseBusinessAction;

@LocalTCC
public interface DebitAction {
    @TwoPhaseBusinessAction(name = "interop-debit", commitMethod = "commit", rollbackMethod = "rollback")
    boolean prepare(BusinessActionContext context, @BusinessActionContextParameter(paramName = "amount") int amount);

    boolean commit(BusinessActionContext context);

    boolean rollback(BusinessActionContext context);

    class Recording extends RecordingAction implements DebitAction {
        public Recording(CallLog log) {
            super("debit", log);
        }
    }
}
