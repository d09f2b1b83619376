// What both TCC actions do: write down each phase two call with the amount that came back in the action's context.
package interop;

import org.apache.seata.rm.tcc.api.BusinessActionContext;
import org.apache.seata.rm.tcc.api.BusinessActionContextParameter;

abstract class RecordingAction {
    private final String name;
    private final CallLog log;

    RecordingAction(String name, CallLog log) {
        this.name = name;
        this.log = log;
    }

    /** Newer clients look for the annotation here, older ones at the interface. */
    public boolean prepare(
            BusinessActionContext context, @BusinessActionContextParameter(paramName = "amount") int amount) {
        return true;
    }

    public boolean commit(BusinessActionContext context) {
        return log.add("commit " + name + " " + context.getActionContext("amount"));
    }

    public boolean rollback(BusinessActionContext context) {
        return log.add("rollback " + name + " " + context.getActionContext("amount"));
    }
}
